//! Labelled requests, and how well a supervisor routes them.
//!
//! [`cases`] reads the requests, each with the specialist that it belongs to. [`score`] compares what a
//! supervisor chose with the labels, and says whether that is good enough for traffic. Both are pure:
//! who asks the supervisor, and where a score is published, is not here.

pub mod cases;
pub mod score;
