//! A cluster in real time and its client, which remembers what was answered, and checks what replicas
//! applied against it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol_core::{
    Answers, AppliedLog, Cluster, Command, CommandId, Committed, Fault, IdSet, LaunchSpec, Observation,
    Protocol, ReplicaId, Reply, Request, StorageSpec, SubmitError,
};
use tempfile::TempDir;

use super::deduplicates;

/// A look at the cluster every so often, and this many looks before a check gives up.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const LOOKS: usize = 6_000;

/// Bytes of each command's payload.
pub const PAYLOAD_BYTES: u64 = 128;

/// Patience of a request: longer than any fault of these checks lasts.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome = Result<Committed, SubmitError>;

/// What was answered, and when, by the clock of whoever was answered.
#[derive(Default)]
pub struct Answered {
    outcomes: Mutex<BTreeMap<CommandId, (Instant, Outcome)>>,
}

impl Answers for Answered {
    fn answer(&self, id: CommandId, outcome: Outcome) {
        let now = Instant::now();
        let twice = self.outcomes.lock().unwrap().insert(id, (now, outcome));
        assert!(twice.is_none(), "{id:?} was answered twice");
    }
}

/// A cluster and its client, who gives every command an id of its own.
pub struct Bench {
    pub cluster: Arc<dyn Cluster>,
    answered: Arc<Answered>,
    sent: Mutex<Vec<Instant>>,
    /// Whether any replica coordinates. The first one then stands for the leader.
    leaderless: bool,
    /// Whether the protocol looks for repetitions itself, and agrees on no command again.
    deduplicates: bool,
    spec: LaunchSpec,
    /// Resubmissions to clusters that this one follows.
    earlier_resubmissions: u64,
    _folder: Option<TempDir>,
}

impl Bench {
    pub async fn launch(protocol: &dyn Protocol, spec: LaunchSpec) -> Self {
        Bench {
            cluster: protocol.launch(spec.clone()).await.unwrap(),
            answered: Arc::default(),
            sent: Mutex::default(),
            leaderless: !protocol.descriptor().order.shows_in_logs(),
            deduplicates: deduplicates(protocol),
            spec,
            earlier_resubmissions: 0,
            _folder: None,
        }
    }

    /// A cluster with its logs in a folder that lasts as long as the bench.
    pub async fn launch_on_disk(protocol: &dyn Protocol, spec: LaunchSpec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = StorageSpec::Wal { folder: folder.path().into() };
        let bench = Bench::launch(protocol, LaunchSpec { storage, ..spec }).await;
        Bench { _folder: Some(folder), ..bench }
    }

    /// Stops the cluster and launches it again from its logs. Its client goes on.
    pub async fn relaunch(&mut self, protocol: &dyn Protocol) {
        self.cluster.stop().await;
        self.earlier_resubmissions += self.cluster.observe().resubmissions;
        self.cluster = protocol.launch(self.spec.clone()).await.unwrap();
    }

    /// Submits so many commands at once, without waiting, and returns their ids.
    pub fn submit(&self, count: u64) -> std::ops::Range<u64> {
        self.submit_for(count, PATIENCE)
    }

    /// Submits so many commands that no one waits for any longer than this.
    pub fn submit_for(&self, count: u64, patience: Duration) -> std::ops::Range<u64> {
        let mut sent = self.sent.lock().unwrap();
        let first = sent.len() as u64;
        for id in (first..first + count).map(CommandId) {
            let now = Instant::now();
            sent.push(now);
            let reply = Reply::new(id, self.answered.clone());
            let command = Command::new(id, &id.0.to_be_bytes().repeat(PAYLOAD_BYTES as usize / 8));
            self.cluster.submit(Request::new(command, now, now + patience, reply));
        }
        first..first + count
    }

    /// Submits until so many more commands are acknowledged. Others may wait, for as long as a fault
    /// lasts.
    pub async fn progress(&self, what: &str, count: u64) {
        let before = self.acknowledged().len();
        self.until(what, |_| {
            self.submit(5);
            self.acknowledged().len() >= before + count
        })
        .await;
    }

    /// Waits until everything submitted so far was answered, one way or the other.
    pub async fn all_answered(&self) {
        let submitted = self.sent.lock().unwrap().len() as u64;
        self.outcomes(0..submitted).await;
    }

    /// Waits until each of these commands was answered, and returns how, with the time that it took.
    pub async fn outcomes(&self, ids: std::ops::Range<u64>) -> Vec<(Duration, Outcome)> {
        self.until("all answered", |_| {
            let outcomes = self.answered.outcomes.lock().unwrap();
            ids.clone().all(|id| outcomes.contains_key(&CommandId(id)))
        })
        .await;
        let (outcomes, sent) = (self.answered.outcomes.lock().unwrap(), self.sent.lock().unwrap());
        ids.map(|id| {
            let (answered, outcome) = outcomes[&CommandId(id)];
            (answered - sent[id as usize], outcome)
        })
        .collect()
    }

    /// Submits so many commands and waits until all are committed.
    pub async fn commit(&self, count: u64) -> Vec<(Duration, Committed)> {
        let outcomes = self.outcomes(self.submit(count)).await;
        outcomes.into_iter().map(|(took, outcome)| (took, outcome.unwrap())).collect()
    }

    /// The commands acknowledged so far.
    pub fn acknowledged(&self) -> IdSet {
        let outcomes = self.answered.outcomes.lock().unwrap();
        outcomes.iter().filter(|(_, (_, outcome))| outcome.is_ok()).map(|(&id, _)| id).collect()
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Observation) -> bool) {
        for _ in 0..LOOKS {
            if holds(&self.cluster.observe()) {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        panic!("never {what}: {:#?}", self.cluster.observe());
    }

    /// Gives a fault that has to apply.
    pub async fn inject(&self, fault: Fault) {
        self.cluster.inject(fault).await.unwrap();
    }

    /// Waits until some replica leads, and returns it.
    pub async fn leader(&self) -> ReplicaId {
        if self.leaderless {
            return ReplicaId(0);
        }
        self.until("a leader", |seen| seen.leader.is_some()).await;
        self.cluster.observe().leader.unwrap()
    }

    /// Waits until another replica than `old` leads.
    pub async fn another_leader(&self, old: ReplicaId) -> ReplicaId {
        if self.leaderless {
            return ReplicaId(old.0 ^ 1);
        }
        self.until("another leader", |seen| seen.leader.is_some_and(|leader| leader != old)).await;
        self.cluster.observe().leader.unwrap()
    }

    /// Waits until so many live replicas applied the same, and, where logs show it, that is everything
    /// that was acknowledged; checks that it is nothing that was not submitted, and each command once.
    pub async fn agree(&self, live: usize) {
        self.until("all the same", |_| {
            let (logs, acknowledged) = (self.cluster.audit(), self.acknowledged());
            let same = |(id, log): &(ReplicaId, AppliedLog)| {
                let agrees = log.agrees_with(&logs[0].1);
                assert!(agrees.is_ok(), "replica {id} parts from the first within {agrees:?}");
                let holds_all = acknowledged.difference(log.ids()).next().is_none();
                agrees == Ok(true) && (holds_all || !log.order().shows_in_logs())
            };
            logs.len() == live && logs.iter().all(same)
        })
        .await;
        let resubmissions = self.earlier_resubmissions + self.cluster.observe().resubmissions;
        let most_duplicates = if self.deduplicates { 0 } else { resubmissions };
        let submitted: IdSet = (0..self.sent.lock().unwrap().len() as u64).map(CommandId).collect();
        for (id, log) in &self.cluster.audit() {
            assert_eq!(log.violations(), [] as [String; 0], "replica {id}");
            assert_eq!(log.ids().difference(&submitted).next(), None, "replica {id} invented a command");
            assert_eq!(log.delivered(), log.ids().len() + log.duplicates(), "replica {id}");
            assert!(log.duplicates() <= most_duplicates, "replica {id} delivered twice what was sent once");
        }
    }

    pub async fn stop(self) {
        self.cluster.stop().await;
    }
}
