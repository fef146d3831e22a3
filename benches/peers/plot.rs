//! Line plots as SVG, readable on light and on dark pages.

use std::fmt::Write;

/// A plot over a logarithmic x axis.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    /// Whether the y axis is logarithmic; else it starts at 0.
    pub(crate) log_y: bool,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) label: String,
    /// Which of the colours; lines beyond the last one start again.
    pub(crate) colour: usize,
    pub(crate) dashed: bool,
    pub(crate) points: Vec<Point>,
}

/// What several rounds have measured at one place.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 580.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 346.0;

/// Distinct from each other, also for most who see colours differently, and from both backgrounds.
const COLOURS: [&str; 6] = ["#7f8790", "#2f81f7", "#e36209", "#1a9e77", "#b35ec9", "#d63a5e"];

const STYLE: &str = "text { font: 13px sans-serif; fill: #24292f } .title { font-size: 16px; font-weight: bold }
.page { fill: #ffffff } .grid { stroke: #d0d7de; stroke-width: 1 } .line { fill: none; stroke-width: 2.2 }
.spread { stroke-width: 4; opacity: 0.35 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .page { fill: #0d1117 } .grid { stroke: #3d444d } }";

/// One axis: where a value is, and the values that are marked.
struct Axis {
    log: bool,
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// From a power of ten to one.
    fn log(values: &[f64], start: f64, end: f64) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min).log10().floor();
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max).log10().ceil().max(least + 1.0);
        let ticks = (least as i32..=most as i32).map(|power| 10_f64.powi(power)).collect();
        Self { log: true, from: least, to: most, start, end, ticks }
    }

    /// From 0 to a round number, with four to eight marks.
    fn linear(values: &[f64], start: f64, end: f64) -> Self {
        let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let power = 10_f64.powf(most.log10().floor() - 1.0);
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| most / step <= 7.0).unwrap_or(50.0 * power);
        let count = (most / step).ceil();
        let ticks = (0..=count as i32).map(|tick| f64::from(tick) * step).collect();
        Self { log: false, from: 0.0, to: count * step, start, end, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

impl Plot {
    /// The SVG document; `None` without any point.
    pub(crate) fn svg(&self) -> Option<String> {
        let points: Vec<&Point> = self.lines.iter().flat_map(|line| &line.points).collect();
        if points.is_empty() {
            return None;
        }
        let xs: Vec<f64> = points.iter().map(|point| point.x).collect();
        let ys: Vec<f64> = points.iter().flat_map(|point| [point.least, point.most]).collect();
        let x = Axis::log(&xs, LEFT + 20.0, RIGHT - 20.0);
        let y = if self.log_y { Axis::log(&ys, BOTTOM, TOP) } else { Axis::linear(&ys, BOTTOM, TOP) };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
            escape(self.title)
        );
        text(&mut out, LEFT, 28.0, "class=\"title\"", self.title);
        for tick in &x.ticks {
            let at = x.place(*tick);
            let _ = writeln!(out, r#"<path class="grid" d="M{at:.1} {TOP}V{BOTTOM}"/>"#);
            text(&mut out, at, BOTTOM + 20.0, "text-anchor=\"middle\"", &short(*tick));
        }
        for tick in &y.ticks {
            let at = y.place(*tick);
            let _ = writeln!(out, r#"<path class="grid" d="M{LEFT} {at:.1}H{RIGHT}"/>"#);
            text(&mut out, LEFT - 8.0, at + 4.5, "text-anchor=\"end\"", &short(*tick));
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        text(&mut out, middle, HEIGHT - 14.0, "text-anchor=\"middle\"", self.x_label);
        let (across, down) = (18.0, f64::midpoint(TOP, BOTTOM));
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 {across} {down})\"");
        text(&mut out, across, down, &turned, self.y_label);
        self.draw_lines(&mut out, &x, &y);
        out.push_str("</svg>\n");
        Some(out)
    }

    fn draw_lines(&self, out: &mut String, x: &Axis, y: &Axis) {
        // The legend has the order of the lines' ends, from top to bottom.
        let mut order: Vec<&Line> = self.lines.iter().filter(|line| !line.points.is_empty()).collect();
        let end = |line: &Line| line.points.last().map_or(0.0, |point| point.median);
        order.sort_by(|one, other| end(other).total_cmp(&end(one)));
        for (index, line) in order.into_iter().enumerate() {
            let colour = COLOURS[line.colour % COLOURS.len()];
            let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            // Beside each other, so that each spread can be seen.
            let aside = (line.colour as f64 - (self.lines.len() - 1) as f64 / 2.0) * 6.0;
            let places: Vec<(f64, f64)> =
                line.points.iter().map(|point| (x.place(point.x) + aside, y.place(point.median))).collect();
            for (point, (x, _)) in line.points.iter().zip(&places) {
                let (least, most) = (y.place(point.least), y.place(point.most));
                let _ = writeln!(out, r#"<path class="spread" stroke="{colour}" d="M{x:.1} {least:.1}V{most:.1}"/>"#);
            }
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let path = path.join("L");
            let _ = writeln!(out, r#"<path class="line" stroke="{colour}"{dash} d="M{path}"/>"#);
            for (x, y) in places {
                let _ = writeln!(out, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#);
            }
            let at = TOP + 10.0 + 24.0 * index as f64;
            let (from, to) = (RIGHT + 16.0, RIGHT + 46.0);
            let _ = writeln!(out, r#"<path class="line" stroke="{colour}"{dash} d="M{from} {at}H{to}"/>"#);
            text(out, to + 8.0, at + 4.5, "", &line.label);
        }
    }
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, content: &str) {
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escape(content));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// 250k, 1M.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e3 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}
