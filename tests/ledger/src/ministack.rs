//! The second DynamoDB: ministack, one for all tests that run at the time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::Duration;

/// `1`: the tests run on ministack as well. `only`: they run on nothing else.
const SETTING: &str = "LEDGER_TEST_MINISTACK";

/// Whether the tests of this process run on it.
pub(crate) fn is_under_test() -> bool {
    std::env::var(SETTING).is_ok_and(|value| value == "only")
}

#[test]
fn the_same_holds_on_a_second_dynamodb() {
    if std::env::var(SETTING).is_ok_and(|value| value == "1") {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--skip", "the_same_holds_on_a_second_dynamodb"])
            .env(SETTING, "only")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    }
}

/// A running ministack. It ends when the last test drops it, or dies.
#[derive(Debug)]
pub(crate) struct Ministack {
    address: SocketAddr,
    script: Child,
}

impl Ministack {
    /// The one that runs, or a new one. It blocks while that starts.
    pub(crate) fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Ministack>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *running = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn start() -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ministack");
        // It has to be told its port, which nobody else takes in the moment in between.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut script = Command::new(scripts.join("serve"))
            .args([address.port().to_string().as_str(), "dynamodb"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return Self { address, script };
            }
            let ended = script.try_wait().unwrap();
            assert_eq!(ended, None, "ministack has ended; is it there? (tests/ministack/install)");
            sleep(Duration::from_millis(50));
        }
        // The script ends it when its standard input is dropped.
        panic!("ministack does not listen after half a minute");
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // There is nothing to be done about a script that cannot be waited for.
        let _ = self.script.wait();
    }
}
