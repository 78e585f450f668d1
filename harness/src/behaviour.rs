//! Names of lies in files and on the command line.

use protocol_core::Behaviour;
use thiserror::Error;

/// A name that no behaviour has.
#[derive(Debug, Error)]
#[error("there is no behaviour `{name}`; there are: {known}")]
pub struct UnknownBehaviour {
    name: String,
    known: String,
}

/// The behaviour of this name.
pub fn named(name: &str) -> Result<Behaviour, UnknownBehaviour> {
    let mut all = Behaviour::LIES.into_iter().chain([Behaviour::Honest]);
    all.find(|behaviour| behaviour.name() == name).ok_or_else(|| UnknownBehaviour {
        name: name.into(),
        known: Behaviour::LIES.map(Behaviour::name).join(", "),
    })
}

/// For `#[serde(with = "…")]`: behaviours by name.
pub mod as_name {
    use protocol_core::Behaviour;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the name.
    pub fn serialize<S: Serializer>(behaviour: &Behaviour, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(behaviour.name())
    }

    /// Reads a name.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Behaviour, D::Error> {
        super::named(&String::deserialize(deserializer)?).map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_found_by_its_name() {
        for behaviour in Behaviour::LIES {
            assert_eq!(named(behaviour.name()).unwrap(), behaviour);
        }
        let refused = named("lazy").unwrap_err().to_string();
        assert!(refused.contains("`lazy`") && refused.contains("equivocate"), "{refused}");
    }
}
