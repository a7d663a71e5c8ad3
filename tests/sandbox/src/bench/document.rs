//! What was measured, as one document.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

use super::BenchError;
use super::counts::Count;
use super::front_door::Door;
use super::series::{Row, Start};
use super::side_by_side::Beside;
use super::subject::Subject;

/// Everything. Times are in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// Where it was measured.
    pub(super) machine: Machine,
    /// The function's binary.
    pub(super) binary_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Start>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) series: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) side_by_side: Vec<Beside>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) front_door: Vec<Door>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) counts: Vec<Count>,
}

/// The machine, without its name.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) kernel: String,
}

impl Document {
    /// Without measurements yet.
    pub(super) fn of(function: &Subject) -> Result<Self, BenchError> {
        Ok(Self {
            machine: Machine::this(),
            binary_bytes: super::size(&function.executable)?,
            start: None,
            series: Vec::new(),
            side_by_side: Vec::new(),
            front_door: Vec::new(),
            counts: Vec::new(),
        })
    }
}

impl Machine {
    fn this() -> Self {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']);
        // What follows the version may name the machine that built it.
        let release = read("/proc/sys/kernel/osrelease");
        let kernel = release.trim().split('-').next().unwrap_or_default();
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            cpu: model.to_owned(),
            kernel: format!("Linux {kernel}"),
        }
    }
}
