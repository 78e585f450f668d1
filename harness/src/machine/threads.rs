//! What each thread of this process got of the cores, by the thread's name.

#[cfg(target_os = "linux")]
use super::proc_file::ProcFile;

/// What the threads of one name got since they started, in nanoseconds. Both only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Name, of which Linux keeps 15 bytes.
    pub name: String,
    /// Time on a core.
    pub cpu_ns: u64,
    /// Time ready to run and without a core.
    pub run_delay_ns: u64,
}

/// The threads of this process, looked at again and again.
///
/// What threads that ended got stays counted, but for what came after the last look at them. The
/// kernel updates a running thread's time at its timer tick, so one look is a few milliseconds behind.
#[derive(Debug, Default)]
pub struct Threads {
    #[cfg(target_os = "linux")]
    watched: Vec<Watched>,
    times: Vec<ThreadTimes>,
}

#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Watched {
    tid: i32,
    schedstat: ProcFile,
    comm: ProcFile,
    cpu_ns: u64,
    run_delay_ns: u64,
}

impl Threads {
    /// What threads got until now, by name in the order in which names were first seen; nothing where
    /// the system does not tell. `running` is how many threads there are now, if that is known: then
    /// they are listed again only if it differs from what was seen before, which is faster.
    #[cfg(target_os = "linux")]
    pub fn read(&mut self, running: Option<usize>) -> &[ThreadTimes] {
        let before = self.watched.len();
        let times = &mut self.times;
        self.watched.retain_mut(|thread| thread.look(times).is_some());
        if self.watched.len() < before || running != Some(before) {
            self.find_new();
        }
        &self.times
    }

    /// What threads got until now; nothing where the system does not tell.
    #[cfg(not(target_os = "linux"))]
    pub fn read(&mut self, _running: Option<usize>) -> &[ThreadTimes] {
        &self.times
    }

    /// The names seen until now, in the order in which they were first seen.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.times.iter().map(|times| times.name.as_str())
    }

    #[cfg(target_os = "linux")]
    fn find_new(&mut self) {
        let tasks = procfs::process::Process::myself().and_then(|process| process.tasks());
        let Ok(tasks) = tasks else { return };
        for tid in tasks.flatten().map(|task| task.tid) {
            if self.watched.iter().any(|known| known.tid == tid) {
                continue;
            }
            // A thread that ends while we look has nothing to say.
            let Some(mut thread) = Watched::open(tid) else { continue };
            if thread.look(&mut self.times).is_some() {
                self.watched.push(thread);
            }
        }
    }
}

#[cfg(target_os = "linux")]
impl Watched {
    fn open(tid: i32) -> Option<Self> {
        let file = |name| ProcFile::open(format!("/proc/self/task/{tid}/{name}"));
        Some(Watched { tid, schedstat: file("schedstat")?, comm: file("comm")?, cpu_ns: 0, run_delay_ns: 0 })
    }

    /// Adds what the thread got since the last look to its name's; none once it ended. The name is read
    /// each time: a thread is born with its parent's, and names itself.
    fn look(&mut self, times: &mut Vec<ThreadTimes>) -> Option<()> {
        let (cpu_ns, run_delay_ns) = parse_schedstat(self.schedstat.read()?)?;
        let name = self.comm.read()?.trim_end_matches('\n');
        let index = times.iter().position(|known| known.name == name).unwrap_or_else(|| {
            times.push(ThreadTimes { name: name.into(), cpu_ns: 0, run_delay_ns: 0 });
            times.len() - 1
        });
        times[index].cpu_ns += cpu_ns.saturating_sub(self.cpu_ns);
        times[index].run_delay_ns += run_delay_ns.saturating_sub(self.run_delay_ns);
        (self.cpu_ns, self.run_delay_ns) = (cpu_ns, run_delay_ns);
        Some(())
    }
}

/// Time on a core and time waiting for one: the first two of a thread's scheduler statistics.
#[cfg(target_os = "linux")]
fn parse_schedstat(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;
    use crate::machine::CpuTimes;

    #[test]
    fn a_threads_time_is_under_its_name_and_stays_after_its_end() {
        let (spent, spent_ns) = channel();
        let (end, ending) = sync_channel::<()>(0);
        let mut threads = Threads::default();
        threads.read(None);
        let spin = move || {
            while CpuTimes::now().unwrap().thread_ns < 3_000_000 {}
            spent.send(CpuTimes::now().unwrap().thread_ns).unwrap();
            ending.recv().ok();
        };
        let thread = std::thread::Builder::new().name("spins-for-tests".into()).spawn(spin).unwrap();
        let spent_ns: u64 = spent_ns.recv().unwrap();
        let of_name = |times: &[ThreadTimes]| {
            times.iter().find(|times| times.name == "spins-for-tests").map(|times| times.cpu_ns)
        };
        // The kernel counts what ran until a thread last left its core, so wait for it to wait.
        let mut seen = of_name(threads.read(None)).unwrap();
        while seen < spent_ns {
            std::thread::yield_now();
            seen = of_name(threads.read(None)).unwrap();
        }
        end.send(()).unwrap();
        thread.join().unwrap();
        assert!(of_name(threads.read(None)).unwrap() >= seen);
    }

    #[test]
    fn known_threads_are_not_listed_again_while_their_number_stays() {
        // Other tests start threads of their own: the number given decides, not that of threads.
        let mut threads = Threads::default();
        threads.read(None);
        let seen = threads.watched.len();
        threads.watched.truncate(1);
        threads.read(Some(1));
        assert_eq!(threads.watched.len(), 1);
        threads.read(Some(seen + 1));
        assert!(threads.watched.len() > 1 || seen == 1);
    }

    #[test]
    fn scheduler_statistics_are_cpu_time_then_run_delay() {
        assert_eq!(parse_schedstat("8143261 52170 12\n"), Some((8_143_261, 52_170)));
        assert_eq!(parse_schedstat("8143261\n"), None);
    }
}
