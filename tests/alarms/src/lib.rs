//! CloudWatch's alarms without CloudWatch, as far as `template.yaml` uses them.
//!
//! No emulator judges an alarm as CloudWatch does, so this crate does it from what the CloudWatch
//! User Guide documents. [`template`] reads the alarms and the dashboard out of the template,
//! [`data`] holds what was published on a timeline of minutes, and [`watch`] judges every alarm
//! at the end of each minute. What the guide leaves open is said where it matters; the tests
//! choose their traffic so that no result hangs on it.
//!
//! Whatever an alarm says and this crate does not know is an error, never ignored. Left out:
//! periods below a minute, anomaly detection, actions suppressors, and alarms longer than a day.

pub mod alarm;
pub mod composite;
pub mod dashboard;
pub mod data;
pub mod insights;
pub mod judge;
pub mod math;
pub mod metric;
pub mod template;
pub mod watch;
