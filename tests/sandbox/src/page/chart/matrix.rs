//! How often what was asked came to what, as a table whose cells are the darker the more.

use super::shapes::{hinted, rect, shortened, text_at, text_to, text_within, width_of};
use super::{Drawing, Tone, WIDTH};
use crate::page::markup::{Element, units};

/// Rows come to columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matrix {
    /// The names of the rows.
    pub(crate) rows: Vec<String>,
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// How often each row came to each column.
    pub(crate) counts: Vec<Vec<usize>>,
    /// What it means when a row comes to a column.
    pub(crate) tones: Vec<Vec<Tone>>,
}

const NAMES: f64 = 116.0;
const SUMS: f64 = 40.0;
const ROW: f64 = 26.0;

/// The matrix with the sums of its rows.
pub(crate) fn matrix(matrix: &Matrix, rows_are: &str, columns_are: &str) -> Drawing {
    let Matrix { rows, columns, counts, tones } = matrix;
    if rows.is_empty() || columns.is_empty() {
        return Drawing::none("nothing of that in this run");
    }
    let pitch = (WIDTH - NAMES - SUMS) / columns.len() as f64;
    let is_narrow = columns.iter().any(|name| width_of(name) > pitch - 2.0);
    let top = if is_narrow { 78.0 } else { 38.0 };
    let mut shapes = vec![
        text_to("faint", (NAMES - 8.0, top - 8.0), &format!("{rows_are} ↓")),
        text_to("faint", (WIDTH, 12.0), &format!("{columns_are} →")),
        text_to("faint", (WIDTH, top - 8.0), "all"),
    ];
    for (place, name) in columns.iter().enumerate() {
        let middle = NAMES + pitch * (place as f64 + 0.5);
        shapes.push(column_name(name, (middle, top - 8.0), is_narrow));
    }
    let greatest = counts.iter().flatten().copied().max().unwrap_or(0).max(1);
    for (row, name) in rows.iter().enumerate() {
        let y = top + ROW * row as f64;
        let base = y + 17.0;
        shapes.push(text_within("", (0.0, base), NAMES - 8.0, name));
        for (column, to) in columns.iter().enumerate() {
            let x = NAMES + pitch * column as f64;
            let count = counts[row][column];
            let (at, size) = ((x + 1.0, y + 1.0), (pitch - 2.0, ROW - 2.0));
            let mut cell = vec![rect("cell", at, size)];
            if count > 0 {
                // Text is read on it, so it does not get darker than a third.
                let share = 0.12 + 0.26 * count as f64 / greatest as f64;
                let shade = rect(tones[row][column].class(), at, size);
                cell.push(shade.with("fill-opacity", format!("{share:.2}")));
            }
            let (class, number) =
                if count > 0 { ("strong", count.to_string()) } else { ("faint", "·".to_owned()) };
            cell.push(text_at(class, (x + pitch / 2.0, base), &number));
            shapes.push(hinted(&format!("{name} → {to}: {count}"), cell));
        }
        let sum: usize = counts[row].iter().sum();
        shapes.push(text_to("faint", (WIDTH, base), &sum.to_string()));
    }
    Drawing { width: WIDTH, height: top + ROW * rows.len() as f64 + 2.0, shapes }
}

fn column_name(name: &str, (x, y): (f64, f64), is_narrow: bool) -> Element {
    if !is_narrow {
        return text_at("", (x, y), name);
    }
    let turned = format!("rotate(-35 {} {})", units(x - 2.0), units(y));
    let text = super::text("", (x - 2.0, y), &shortened(name, 84.0));
    hinted(name, [text.with("transform", turned)])
}
