//! Any set of protocols under any set of scenarios, whatever some of them do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use consensus_bench::progress::Progress;
use consensus_bench::results::Outcome;
use consensus_bench::run::Limits;
use consensus_bench::scenario::{self, Scenario};
use consensus_bench::suite::Suite;

use crate::toys::{Conduct, Toy};

fn scenarios() -> Vec<Scenario> {
    let one = |name: &str| {
        format!(
            "[[scenario]]\nname = \"{name}\"\ntimeout_ms = 200\n[[scenario.phase]]\nkind = \"steady\"\n\
             duration_s = 0.3\nrate_per_s = 1000\n"
        )
    };
    scenario::parse("test", &(one("first") + &one("second"))).unwrap()
}

#[test]
fn a_pair_that_fails_is_cleaned_up_and_the_next_goes_on() {
    let conducts =
        [("blocks", Conduct::Blocking), ("panics", Conduct::PanicsWhenObserved), ("good", Conduct::Good)];
    let mut suite = Suite::default();
    let mut stops = BTreeMap::new();
    for (name, conduct) in conducts {
        let toy = Toy::new(conduct);
        stops.insert(name, toy.stopped.clone());
        suite.register(name, Arc::new(toy), BTreeMap::new()).unwrap();
    }
    let second = Duration::from_secs(1);
    let limits = Limits { start: second, settle: second, grace: second };
    let pairs = suite.pairs(&scenarios(), limits).unwrap();
    let ids: Vec<String> = pairs.iter().map(|pair| pair.id()).collect();
    assert_eq!(ids[..4], ["first/blocks", "first/panics", "first/good", "second/blocks"]);
    let folder = tempfile::tempdir().unwrap();
    for pair in &pairs {
        let result = pair.run(folder.path(), &Progress::default());
        assert_eq!(result.outcome == Outcome::Completed, pair.name == "good", "{:?}", result.outcome);
        assert_eq!(result.protocol, pair.name);
    }
    for (name, stopped) in stops {
        assert_eq!(stopped.load(SeqCst), 2, "{name} is stopped after each scenario");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().filter(is_folder).count(), 0, "logs are removed");
}

fn is_folder(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().path().is_dir()
}

#[test]
fn names_and_settings_are_checked_before_anything_runs() {
    let mut suite = Suite::of([Arc::new(Toy::new(Conduct::Good)) as Arc<_>]).unwrap();
    let toy = || Arc::new(Toy::new(Conduct::Good));
    suite.register("toy-2", toy(), BTreeMap::new()).unwrap();
    let taken = suite.register("toy", toy(), BTreeMap::new()).err().unwrap();
    assert!(taken.to_string().contains("`toy` is registered already"));
    let unknown = suite.select(&["etcd".into()]).err().unwrap();
    assert_eq!(unknown.to_string(), "no protocol `etcd`; there are: toy, toy-2");
    let no_setting = suite.register("toy-3", toy(), [("batch".into(), 1.0)].into()).err().unwrap();
    assert!(no_setting.to_string().contains("has no setting `batch`"), "{no_setting}");
    let mut large = scenarios();
    large[0].replicas = 5;
    let size = suite.pairs(&large, Limits::default()).err().unwrap();
    assert!(size.to_string().contains("toy can't run 5 replicas: it takes 3 to 3"), "{size}");
}
