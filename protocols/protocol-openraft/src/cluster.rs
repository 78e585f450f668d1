//! A running cluster of the library's replicas.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use openraft::Config;
use protocol_core::{
    AppliedLog, ClientRule, Cluster, Degradation, Fault, FaultError, LaunchError, LaunchSpec, Network,
    Observation, ReplicaId, Request, SharedClient, StorageSpec, View,
};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::replica::{Life, Node, Origin, offer_to};
use crate::types::Rpc;

/// Replicas on the current runtime.
pub(crate) struct OpenraftCluster {
    nodes: Arc<Vec<Arc<Node>>>,
    origin: Origin,
    storage: StorageSpec,
    client: Arc<SharedClient>,
    client_task: JoinHandle<()>,
    lives: Mutex<Vec<Option<Life>>>,
}

impl OpenraftCluster {
    pub(crate) async fn launch(spec: &LaunchSpec, config: Config) -> Result<Self, LaunchError> {
        let nodes: Arc<Vec<Arc<Node>>> = Arc::new((0..spec.replicas).map(|_| Arc::default()).collect());
        let inboxes = nodes.iter().map(Node::inbox).collect();
        let counters = nodes.iter().map(|node| node.counters.clone()).collect();
        let network: Network<Rpc> = Network::open(&spec.network, inboxes, counters, spec.seed).await?;
        let (client, client_task) =
            SharedClient::start(spec.replicas, ClientRule::Leader, None, offer_to(nodes.clone()));
        let carriage = crate::carriage(spec.timing, &spec.settings, spec.network.link.bandwidth);
        let cluster = OpenraftCluster {
            nodes,
            origin: Origin {
                config: Arc::new(config),
                carriage,
                network,
                client: client.clone(),
                group_commit: spec.settings.get(&StorageSpec::GROUP_COMMIT) != 0.0,
            },
            storage: spec.storage.clone(),
            client,
            client_task,
            lives: Mutex::default(),
        };
        match cluster.start_all().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    async fn start_all(&self) -> Result<(), LaunchError> {
        let mut lives = self.lives.lock().await;
        for id in ReplicaId::all(self.nodes.len()) {
            let life = self.start(id).await?;
            lives.push(Some(life));
        }
        // Only a new cluster is told its members; one that is launched on old logs knows them. The
        // replica that is told leads first.
        let lives: Vec<&Life> = lives.iter().flatten().collect();
        match lives.first() {
            Some(first) if lives.iter().all(|life| life.new) => {
                let members: BTreeMap<u64, ()> = (0..self.nodes.len() as u64).map(|id| (id, ())).collect();
                let initialized = first.raft.initialize(members).await;
                initialized.map_err(|error| LaunchError::Library(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    async fn start(&self, id: ReplicaId) -> Result<Life, LaunchError> {
        let path: Option<PathBuf> = match &self.storage {
            StorageSpec::Memory => None,
            StorageSpec::Wal { folder } => Some(folder.join(format!("replica-{id}.wal"))),
        };
        Life::start(id, &self.nodes[id.index()], &self.origin, path.as_deref()).await
    }

    async fn crash(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        match self.lives.lock().await[id.index()].take() {
            Some(life) => {
                life.crash().await;
                Ok(())
            }
            None => Err(FaultError::is_down(fault, id)),
        }
    }

    async fn restart(&self, fault: Fault, id: ReplicaId) -> Result<(), FaultError> {
        if self.storage == StorageSpec::Memory {
            return Err(FaultError::forgotten(fault));
        }
        let mut lives = self.lives.lock().await;
        if lives[id.index()].is_some() {
            return Err(FaultError::is_running(fault, id));
        }
        let started = self.start(id).await;
        let life = started.map_err(|error| FaultError::NotApplicable { fault, why: error.to_string() })?;
        lives[id.index()] = Some(life);
        Ok(())
    }

    /// What one does to a replica that lives.
    async fn with_life(
        &self,
        fault: Fault,
        id: ReplicaId,
        act: impl FnOnce(&Life, Fault) -> Result<(), FaultError>,
    ) -> Result<(), FaultError> {
        match &self.lives.lock().await[id.index()] {
            Some(life) => act(life, fault),
            None => Err(FaultError::is_down(fault, id)),
        }
    }
}

#[async_trait]
impl Cluster for OpenraftCluster {
    fn submit(&self, request: Request) {
        self.client.submit(request);
    }

    async fn inject(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check(self.nodes.len())?;
        match fault {
            Fault::Crash(id) => self.crash(fault, id).await,
            Fault::Restart(id) => self.restart(fault, id).await,
            Fault::Cut { from, to } => {
                self.origin.network.cut(from, to);
                Ok(())
            }
            Fault::Degrade { from, to, extra_delay, loss } => self
                .origin
                .network
                .degrade(from, to, Degradation { extra_delay, loss })
                .map_err(|error| FaultError::no_delay_line(fault, &error)),
            Fault::Pause(id) => self.with_life(fault, id, Life::pause).await,
            Fault::Resume(id) => self.with_life(fault, id, Life::resume).await,
            Fault::Corrupt(_, behaviour) => FaultError::check_behaviour(fault, behaviour, &[]),
            Fault::Heal => {
                self.origin.network.heal();
                Ok(())
            }
        }
    }

    fn observe(&self) -> Observation {
        let newest = self.nodes.iter().filter_map(|node| node.leader()).max_by_key(|&(term, _)| term);
        Observation {
            leader: newest.map(|(_, leader)| leader),
            view: newest.map(|(term, _)| View(term)),
            replicas: self.nodes.iter().map(|node| node.status()).collect(),
            resubmissions: self.client.resubmissions(),
        }
    }

    fn audit(&self) -> Vec<(ReplicaId, AppliedLog)> {
        ReplicaId::all(self.nodes.len())
            .zip(self.nodes.iter())
            .filter(|(_, node)| node.live.load(Relaxed))
            .map(|(id, node)| (id, node.application().log().clone()))
            .collect()
    }

    async fn stop(&self) {
        self.client_task.abort();
        for life in self.lives.lock().await.iter_mut() {
            if let Some(life) = life.take() {
                life.crash().await;
            }
        }
        self.origin.network.close();
    }
}
