//! Numbers and times as the sandbox and the operator's program print them for people.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// `12,345,678`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Micro-dollars as `$1,234.567890`
pub fn usd(micro_usd: u64) -> String {
    format!("${}.{:06}", grouped(micro_usd / 1_000_000), micro_usd % 1_000_000)
}

/// Seconds as `59 s`, `4 min 12 s`, `23 h 59 min`, `3 d 2 h`
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (first, second) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => (format!("{minutes} min"), format!("{} s", seconds % 60)),
        3_600..86_400 => (format!("{hours} h"), format!("{} min", minutes % 60)),
        86_400.. => (format!("{days} d"), format!("{} h", hours % 24)),
    };
    format!("{first} {second}")
}

/// Seconds since 1970 as `2026-11-21 12:55:01 UTC`
pub fn utc(seconds: u64) -> String {
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    match time.fmt(Format::DateTime) {
        Ok(text) => text.replace('T', " ").replace('Z', " UTC"),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// Seconds since 1970 of `2026-11-21T12:55:01Z`, if it is a time since then.
pub fn parse_utc(text: &str) -> Option<u64> {
    let time = DateTime::from_str(text, Format::DateTime).ok()?;
    u64::try_from(time.secs()).ok()
}

/// A text from outside, without what would control the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// `1 step`, `2 steps`
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn amounts_and_times_are_written_for_people() {
        assert_eq!([1, 1_234_567_890].map(usd), ["$0.000001", "$1,234.567890"]);
        let spans = [0, 59, 252, 86_399, 86_400, 266_400].map(span);
        assert_eq!(spans, ["0 s", "59 s", "4 min 12 s", "23 h 59 min", "1 d 0 h", "3 d 2 h"]);
        assert_eq!(utc(1_795_262_400), "2026-11-21 12:00:00 UTC");
        assert_eq!(printable("a\x1b[1mé"), "a\u{fffd}[1mé");
    }
}
