//! What Linux says, out of `/proc`.

use super::reading::{CoreTime, SystemReading};
use crate::machine::proc_file::ProcFile;
use crate::machine::{CpuTimes, Threads};

/// `/proc/meminfo` counts these.
const KIB: u64 = 1024;

/// The files that are read, opened once.
pub(super) struct SystemReader {
    machine_stat: Option<ProcFile>,
    process_stat: Option<ProcFile>,
    load_average: Option<ProcFile>,
    memory: Option<ProcFile>,
    network: Option<ProcFile>,
    storage: Option<ProcFile>,
    pressure: [Option<ProcFile>; 3],
    threads: Threads,
    page_bytes: u64,
}

impl SystemReader {
    /// Opens what there is.
    pub(super) fn new() -> Self {
        SystemReader {
            machine_stat: ProcFile::open("/proc/stat"),
            process_stat: ProcFile::open("/proc/self/stat"),
            load_average: ProcFile::open("/proc/loadavg"),
            memory: ProcFile::open("/proc/meminfo"),
            network: ProcFile::open("/proc/self/net/dev"),
            storage: ProcFile::open("/proc/self/io"),
            pressure: ["cpu", "io", "memory"].map(|what| ProcFile::open(format!("/proc/pressure/{what}"))),
            threads: Threads::default(),
            page_bytes: procfs::page_size(),
        }
    }

    /// Reads everything.
    pub(super) fn read(&mut self) -> SystemReading {
        let process = parsed(&mut self.process_stat, process_stat);
        let [pressure_cpu, pressure_io, pressure_memory] = &mut self.pressure;
        let threads = self.threads.read(process.map(|(running, _)| running as usize));
        SystemReading {
            machine_cpu: parsed(&mut self.machine_stat, machine_stat),
            process_cpu_ns: CpuTimes::now().map(|times| times.process_ns),
            thread_cpu_ns: threads.iter().map(|thread| thread.cpu_ns).collect(),
            run_delay_ns: (!threads.is_empty())
                .then(|| threads.iter().map(|thread| thread.run_delay_ns).sum()),
            load_average_1m: parsed(&mut self.load_average, load_average),
            memory_used_bytes: parsed(&mut self.memory, memory_used),
            rss_bytes: process.map(|(_, pages)| pages * self.page_bytes),
            network_bytes: parsed(&mut self.network, network_bytes),
            storage_write_bytes: parsed(&mut self.storage, storage_write_bytes),
            pressure_us: [
                parsed(pressure_cpu, pressure_some),
                parsed(pressure_io, pressure_some),
                parsed(pressure_memory, pressure_some),
            ],
        }
    }

    /// Names of the threads, in the order of [`SystemReading::thread_cpu_ns`].
    pub(super) fn thread_names(&self) -> Vec<String> {
        self.threads.names().map(str::to_string).collect()
    }
}

fn parsed<T>(file: &mut Option<ProcFile>, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    parse(file.as_mut()?.read()?)
}

/// Busy time and all time of all cores, in clock ticks. Waiting for storage is idle: the core was
/// free. Time that the hypervisor took is busy: the core was not.
fn machine_stat(text: &str) -> Option<CoreTime> {
    let mut ticks = [0_u64; 8];
    let mut numbers = text.strip_prefix("cpu ")?.lines().next()?.split_ascii_whitespace();
    for tick in &mut ticks {
        *tick = numbers.next()?.parse().ok()?;
    }
    let [user, nice, system, idle, io_wait, interrupt, soft_interrupt, steal] = ticks;
    let busy = user + nice + system + interrupt + soft_interrupt + steal;
    Some(CoreTime { busy, all: busy + idle + io_wait })
}

/// Threads, and resident pages.
fn process_stat(text: &str) -> Option<(u64, u64)> {
    // The name, in brackets, may hold anything, blanks and brackets included. After it, the state is
    // field 3 of proc(5).
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let threads = fields.nth(20 - 3)?.parse().ok()?;
    let pages = fields.nth(24 - 20 - 1)?.parse().ok()?;
    Some((threads, pages))
}

fn load_average(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// What could not be had without swapping.
fn memory_used(text: &str) -> Option<u64> {
    Some((field(text, "MemTotal:")?.checked_sub(field(text, "MemAvailable:")?)?) * KIB)
}

/// Bytes in and out, of all interfaces.
fn network_bytes(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    // Two lines of heads, then NAME: and eight numbers of what came in before those of what went out.
    for line in text.lines().skip(2) {
        let mut numbers = line.split_once(':')?.1.split_ascii_whitespace();
        let received: u64 = numbers.next()?.parse().ok()?;
        let sent: u64 = numbers.nth(7)?.parse().ok()?;
        sum = sum.wrapping_add(received).wrapping_add(sent);
    }
    Some(sum)
}

fn storage_write_bytes(text: &str) -> Option<u64> {
    field(text, "write_bytes:")
}

/// Microseconds in which some task waited.
fn pressure_some(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.rsplit_once("total=")?.1.parse().ok()
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let stat = "cpu  843258 24389 115802 1459993 6351 7 1798 187 5 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        let busy = 843_258 + 24_389 + 115_802 + 7 + 1_798 + 187;
        let time = machine_stat(stat).unwrap();
        assert_eq!((time.busy, time.all), (busy, busy + 1_459_993 + 6_351));

        let stat = "9977 (a) b) 1 (c) R 9972 9972 584 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 7 0 1233927 \
                    3133440 414 18446744073709551615 1 2";
        assert_eq!(process_stat(stat), Some((7, 414)));

        assert_eq!(load_average("0.95 0.44 0.68 1/123 4567\n"), Some(0.95));
        let memory = "MemTotal:  4000 kB\nMemFree:  100 kB\nMemAvailable:  1500 kB\n";
        assert_eq!(memory_used(memory), Some(2_500 * 1_024));

        let network = "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed \
                       multicast|bytes packets errs drop fifo colls carrier compressed\n    lo: 100 1 0 0 \
                       0 0 0 0 100 1 0 0 0 0 0 0\n  eth0:7 1 0 0 0 0 0 0 3000 1 0 0 0 0 0 0\n";
        assert_eq!(network_bytes(network), Some(3_207));

        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!(storage_write_bytes(io), Some(4_096));

        let pressure = "some avg10=2.82 avg60=0.62 avg300=0.97 total=883780245\nfull avg10=0.00 total=0\n";
        assert_eq!(pressure_some(pressure), Some(883_780_245));
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_no_number() {
        for text in ["", "cpu 1 2 3", "cpu  a b c d e f g h", "1 (x) R 2", "a b", "h\nh\nlo 5"] {
            assert!(machine_stat(text).is_none() && process_stat(text).is_none(), "{text}");
            assert!(network_bytes(text).is_none_or(|bytes| bytes == 0), "{text}");
            assert_eq!(
                (memory_used(text), storage_write_bytes(text), pressure_some(text)),
                (None, None, None)
            );
        }
        assert_eq!(load_average("busy"), None);
    }

    #[test]
    fn this_system_tells_all_that_every_linux_tells() {
        let mut reader = SystemReader::new();
        let reading = reader.read();
        assert!(reading.machine_cpu.unwrap().all >= reading.machine_cpu.unwrap().busy);
        assert!(reading.process_cpu_ns.unwrap() > 0 && reading.rss_bytes.unwrap() > 0);
        assert!(reading.memory_used_bytes.unwrap() > reading.rss_bytes.unwrap());
        assert!(reading.load_average_1m.unwrap() >= 0.0 && reading.network_bytes.is_some());
        assert_eq!(reader.thread_names().len(), reading.thread_cpu_ns.len());
        assert!(!reading.thread_cpu_ns.is_empty());
    }
}
