//! Figures of a row as a Markdown table: medians of the rounds, and medians of each round's ratio to the first server.

use std::fmt::Write;

use crate::measure::Measurement;
use crate::rows::Load;
use crate::rows::Row;

/// The measurements of one server in a row, a place for each round; `None` where it failed.
pub(crate) type Rounds = Vec<Option<Measurement>>;

/// One of the things that were measured.
pub(crate) type Figure = fn(&Measurement) -> f64;

/// The median; `None` of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The median of one figure.
pub(crate) fn typical(rounds: &Rounds, figure: Figure) -> Option<f64> {
    median(rounds.iter().flatten().map(figure).collect())
}

fn ratio(rounds: &Rounds, base: &Rounds, figure: Figure) -> Option<f64> {
    median(ratios(rounds, base, figure))
}

/// That of each round in which both were measured.
pub(crate) fn ratios(rounds: &Rounds, base: &Rounds, figure: Figure) -> Vec<f64> {
    let pairs = rounds.iter().zip(base).filter_map(|(own, base)| Some((own.as_ref()?, base.as_ref()?)));
    pairs.map(|(own, base)| figure(own) / figure(base)).collect()
}

/// A table for `row`, whose servers have the measurements `results`, in the same order.
pub(crate) fn markdown(row: &Row, results: &[Rounds]) -> String {
    let with_memory =
        matches!(row.load, Load::Echo(load) if load.connections >= 10_000 || load.active < load.connections);
    let mut lines = vec![vec!["server", "requests/s", "ratio", "CPU us/request", "CPU ratio", "p50 us", "p99 us"]];
    if with_memory {
        lines[0].push("bytes/connection");
    }
    let mut lines: Vec<Vec<String>> =
        lines.into_iter().map(|line| line.into_iter().map(str::to_owned).collect()).collect();
    for (contender, rounds) in row.contenders.iter().zip(results) {
        let number =
            |value: Option<f64>, digits| value.map_or_else(|| "failed".to_owned(), |value| format(value, digits));
        let mut line = vec![
            contender.label.to_owned(),
            number(typical(rounds, |m| m.rate), 0),
            number(ratio(rounds, &results[0], |m| m.rate), 2),
            number(typical(rounds, |m| m.cpu), 2),
            number(ratio(rounds, &results[0], |m| m.cpu), 2),
            number(typical(rounds, |m| m.p50), 0),
            number(typical(rounds, |m| m.p99), 0),
        ];
        if with_memory {
            line.push(number(typical(rounds, |m| m.per_connection), 0));
        }
        lines.push(line);
    }
    format!("### {}: {}\n\n{}", row.name, row.what, align(&lines))
}

/// The first column to the left, figures to the right.
fn align(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(out, "| {cell:<width$} ") } else { write!(out, "| {cell:>width$} ") };
        }
        out.push_str("|\n");
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                let _ = write!(out, "|{}{end}", "-".repeat(width + 1));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// With commas between thousands.
pub(crate) fn format(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut out = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}
