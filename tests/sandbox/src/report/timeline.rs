//! Calls of agents over time: what ran beside what.

use std::time::Duration;

use stand_ins::agents::Call;

/// The columns of the bars.
const COLUMNS: u32 = 48;

/// A line for each call, in the order in which they began, all over the same stretch of time.
pub(super) fn lines(calls: &[Call]) -> Vec<String> {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.began);
    let took = |call: &Call| call.took.unwrap_or_default();
    let begin = calls.first().map_or(Duration::ZERO, |call| call.began);
    let end = calls.iter().map(|call| call.began + took(call)).max().unwrap_or(begin);
    let whole = (end - begin).max(Duration::from_micros(1));
    let column = |time: Duration| {
        let share = time.as_micros() * u128::from(COLUMNS) / whole.as_micros();
        u32::try_from(share).unwrap_or(COLUMNS).min(COLUMNS) as usize
    };
    let line = |call: &&Call| {
        let (first, last) = (column(call.began - begin), column(call.began + took(call) - begin));
        let first = first.min(COLUMNS as usize - 1);
        let bar = " ".repeat(first) + &"▄".repeat(last.saturating_sub(first).max(1));
        let millis = took(call).as_millis();
        format!("{:<16} {bar:<width$} {millis:>6} ms", call.specialist, width = COLUMNS as usize)
    };
    calls.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::injected::tests::played;

    fn line_of(calls: &[(&str, u64, u64)]) -> Vec<String> {
        let names: Vec<&str> = calls.iter().map(|(name, ..)| *name).collect();
        let mut made = played(&names).calls;
        for (call, (_, began, took)) in made.iter_mut().zip(calls) {
            call.began = Duration::from_millis(*began);
            call.took = Some(Duration::from_millis(*took));
        }
        lines(&made)
    }

    #[test]
    fn each_call_has_a_bar_where_it_ran() {
        let lines = line_of(&[("orders", 124, 24), ("billing", 100, 24), ("general", 100, 48)]);
        let half = "▄".repeat(24);
        let expected = [
            format!("billing          {half}{}     24 ms", " ".repeat(24)),
            format!("general          {half}{half}     48 ms"),
            format!("orders           {}{half}     24 ms", " ".repeat(24)),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_call_that_took_no_time_is_seen_too() {
        let lines = line_of(&[("orders", 7, 0)]);
        assert_eq!(lines, [format!("orders           ▄{}      0 ms", " ".repeat(47))]);
        assert!(super::lines(&[]).is_empty());
    }
}
