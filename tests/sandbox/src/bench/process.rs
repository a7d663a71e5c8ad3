//! What a process has used so far, as Linux counts it.

use std::fs;
use std::io;
use std::time::Duration;

/// What `utime` and `stime` are counted in: `USER_HZ` is 100 on all of Linux's common platforms,
/// whatever the kernel's own tick is (time(7)).
const TICK: Duration = Duration::from_millis(10);

/// What one process, or several together, have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system time.
    pub(super) cpu: Duration,
    /// The most memory that any of them had at a time (`VmHWM`), in KiB.
    pub(super) peak_kib: u64,
}

impl Usage {
    /// Of all these processes, which have to be alive.
    pub(super) fn of(processes: impl IntoIterator<Item = u32>) -> io::Result<Self> {
        processes.into_iter().try_fold(Self::default(), |sum, id| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}"));
            let malformed = || io::Error::other(format!("/proc/{id} cannot be understood"));
            let cpu = cpu(&read("stat")?).ok_or_else(malformed)?;
            let peak_kib = peak_kib(&read("status")?).ok_or_else(malformed)?;
            Ok(Self { cpu: sum.cpu + cpu, peak_kib: sum.peak_kib.max(peak_kib) })
        })
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)). The second field, the program's name,
/// may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, from_third) = stat.rsplit_once(')')?;
    let mut times = from_third.split_whitespace().skip(11).map(str::parse);
    let (user, system): (u32, u32) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(TICK * user.checked_add(system)?)
}

fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 41 1 0 0 20 0 1 0 99";
        assert_eq!(cpu(stat), Some(Duration::from_millis(420)));
        assert_eq!(cpu("7 (a) S 1 2"), None);
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(peak_kib("Name:\tx\nVmHWM:\t    9216 kB\nVmRSS:\t 1 kB\n"), Some(9_216));
        assert_eq!(peak_kib("Name:\tx\n"), None);
    }
}
