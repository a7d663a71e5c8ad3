//! Labelled requests, and how well a supervisor routes them.
//!
//! [`cases`] reads the requests, each with the specialist that it belongs to. [`run`] has a supervisor
//! decide on each, within a [`purse`] of its own. [`choice`] says whom a decision chose, [`score`] compares
//! that with the labels and says whether it is good enough for traffic, [`report`] tells it. All of it is
//! pure, or goes through the core's ports: where the supervisor is, and who hears of the verdict, is not
//! here.

pub mod cases;
pub mod choice;
pub mod purse;
pub mod report;
pub mod run;
pub mod score;
pub mod settings;
