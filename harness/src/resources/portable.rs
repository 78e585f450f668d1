//! What sysinfo says, where there is no `/proc`: less, and slower.

use sysinfo::{Networks, Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use super::reading::SystemReading;

/// What is asked.
pub(super) struct SystemReader {
    system: System,
    networks: Networks,
    process: Option<Pid>,
}

impl SystemReader {
    /// Finds this process and the network's interfaces.
    pub(super) fn new() -> Self {
        SystemReader {
            system: System::new(),
            networks: Networks::new_with_refreshed_list(),
            process: get_current_pid().ok(),
        }
    }

    /// Reads everything. The machine's busy time, threads, run delay and pressure are not told: what
    /// sysinfo calls the CPU's usage is not a count, and depends on when it was last asked.
    pub(super) fn read(&mut self) -> SystemReading {
        self.system.refresh_memory();
        self.networks.refresh(true);
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage();
        if let Some(pid) = self.process {
            self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        }
        let process = self.process.and_then(|pid| self.system.process(pid));
        let network = |sum: u64, interface: &sysinfo::NetworkData| {
            sum.wrapping_add(interface.total_received()).wrapping_add(interface.total_transmitted())
        };
        SystemReading {
            process_cpu_ns: process.map(|process| process.accumulated_cpu_time() * 1_000_000),
            // Windows has none, and sysinfo says 0 there.
            load_average_1m: (!cfg!(windows)).then(|| System::load_average().one),
            memory_used_bytes: Some(self.system.used_memory()),
            rss_bytes: process.map(|process| process.memory()),
            network_bytes: Some(self.networks.values().fold(0, network)),
            storage_write_bytes: process.map(|process| process.disk_usage().total_written_bytes),
            ..SystemReading::default()
        }
    }

    /// Names of the threads: unknown.
    pub(super) fn thread_names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where both readers work, they must tell the same.
    #[test]
    #[cfg(target_os = "linux")]
    fn sysinfo_and_proc_agree() {
        let (mut portable, mut linux) = (SystemReader::new(), super::super::linux::SystemReader::new());
        let (first, read, last) = (linux.read(), portable.read(), linux.read());
        // sysinfo counts in ticks of the clock, of which there are at least a hundred a second.
        let tick_ns = 10_000_000;
        assert!(read.process_cpu_ns.unwrap() <= last.process_cpu_ns.unwrap() + tick_ns);
        assert!(read.process_cpu_ns.unwrap() + 2 * tick_ns >= first.process_cpu_ns.unwrap());
        assert!(read.network_bytes.unwrap() >= first.network_bytes.unwrap());
        assert!(read.network_bytes.unwrap() <= last.network_bytes.unwrap());
        assert!(read.storage_write_bytes.unwrap() >= first.storage_write_bytes.unwrap());
        let near = |a: u64, b: u64| a.max(b) < 2 * a.min(b);
        assert!(near(read.rss_bytes.unwrap(), last.rss_bytes.unwrap()));
        assert!(near(read.memory_used_bytes.unwrap(), last.memory_used_bytes.unwrap()));
        assert!(portable.thread_names().is_empty() && read.thread_cpu_ns.is_empty());
    }
}
