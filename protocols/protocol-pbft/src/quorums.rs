//! How many replicas it takes.

/// Quorum sizes of a cluster of n = 3f + 1 (OSDI '99 §4.2, §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quorums {
    faults: usize,
    /// What is wrong on purpose, to see whether tests find it.
    pub(crate) flaw: Option<Flaw>,
}

/// A fault planted into the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A batch counts as prepared and as committed with 2f votes instead of 2f + 1.
    SmallQuorum,
    /// A replica leaves what it prepared out of its view changes.
    ForgottenPrepared,
    /// Certificates and view changes are believed without looking at their signatures.
    ForgedCertificates,
}

impl Quorums {
    pub(crate) fn of(replicas: usize) -> Self {
        Quorums { faults: replicas.saturating_sub(1) / 3, flaw: None }
    }

    /// Among so many, one is honest.
    pub(crate) fn honest(&self) -> usize {
        self.faults + 1
    }

    /// Two sets of so many have an honest replica in common.
    pub(crate) fn certificate(&self) -> usize {
        2 * self.faults + 1
    }

    /// PREPAREs of backups that, with the primary's PRE-PREPARE, make a batch prepared.
    pub(crate) fn prepares(&self) -> usize {
        self.agreement() - 1
    }

    /// COMMITs that make a batch committed.
    pub(crate) fn commits(&self) -> usize {
        self.agreement()
    }

    fn agreement(&self) -> usize {
        match self.flaw {
            Some(Flaw::SmallQuorum) => 2 * self.faults,
            _ => self.certificate(),
        }
    }

    /// Equal answers that a client waits for: one of them honest, or with tentative answers so many that
    /// they are final (TOCS 2002 §5.1.2).
    pub(crate) fn answers(&self, tentative: bool) -> usize {
        if tentative { self.certificate() } else { self.honest() }
    }

    /// All of them, for the descriptor. A batch's PRE-PREPARE counts among those that prepare it.
    pub(crate) fn sizes(&self, tentative: bool) -> protocol_core::Quorums {
        protocol_core::Quorums::from([
            ("prepare", self.prepares() + 1),
            ("commit", self.commits()),
            ("view_change", self.certificate()),
            ("checkpoint", self.certificate()),
            ("reply", self.answers(tentative)),
        ])
    }

    pub(crate) fn believes_everything(&self) -> bool {
        self.flaw == Some(Flaw::ForgedCertificates)
    }
}
