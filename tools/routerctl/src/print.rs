//! Tables for people.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use stand_ins::print::{printable, usd};

/// A column's head, and where its cells stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// Names and words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

/// A table with a line for each row. Cells may come from outside: what would control the terminal
/// is left out.
pub(crate) fn table<const N: usize>(
    heads: [Head; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(heads.map(|head| match head {
        Head::Left(text) | Head::Right(text) => text,
    }));
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for (index, head) in heads.iter().enumerate() {
        if let (Head::Right(_), Some(column)) = (head, table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// Micro-dollars that may be less than nothing.
pub(crate) fn signed_usd(micro_usd: i128) -> String {
    let amount = usd(u64::try_from(micro_usd.unsigned_abs()).unwrap_or(u64::MAX));
    if micro_usd < 0 { format!("-{amount}") } else { amount }
}
