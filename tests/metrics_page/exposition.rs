//! Prometheus' text format 0.0.4, taken apart as its description says.

#![allow(unreachable_pub, reason = "a part of a test")]

use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// A text, every line of which was understood.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Of each family its type.
    pub kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Exposition {
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut exposition = Self::default();
        let mut explained = String::new();
        let mut family = String::new();
        for line in text.strip_suffix('\n').unwrap().split('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(!help.trim().is_empty(), "{line}");
                explained = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(explained, name, "HELP and TYPE stand together");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(exposition.kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "again: {line}");
                name.clone_into(&mut family);
            } else {
                exposition.sample(line, &family);
            }
        }
        exposition.check_histograms();
        exposition
    }

    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    fn sample(&mut self, line: &str, family: &str) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect(line));
        let is_part = |part: &str| name.strip_suffix(part) == Some(family);
        let is_of_histogram = self.kinds.get(family).is_some_and(|kind| kind == "histogram");
        let belongs =
            if is_of_histogram { ["_bucket", "_sum", "_count"].into_iter().any(is_part) } else { name == family };
        assert!(belongs, "a sample of another family than {family}: {line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest),
            None => (Labels::new(), rest),
        };
        let value = rest.strip_prefix(' ').expect(line).parse().expect(line);
        assert!(self.samples.insert((name.to_owned(), labels), value).is_none(), "again: {line}");
    }

    /// The buckets grow with their bounds, and the last is the count.
    fn check_histograms(&self) {
        for (family, _) in self.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((name, labels), count) in &self.samples {
                if *name == format!("{family}_bucket") {
                    let mut labels = labels.clone();
                    let bound = labels.remove("le").expect("a bound").parse().expect("a number");
                    series.entry(labels).or_default().push((bound, *count));
                }
            }
            assert!(!series.is_empty(), "{family}");
            for (labels, mut buckets) in series {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{family}: {buckets:?}");
                let (last, count) = *buckets.last().unwrap();
                assert_eq!(last, f64::INFINITY, "{family}");
                assert_eq!(self.samples.get(&(format!("{family}_count"), labels.clone())), Some(&count));
                assert!(self.samples.contains_key(&(format!("{family}_sum"), labels)));
            }
        }
    }
}

/// The labels behind an opening brace, and what is behind the closing one.
fn labels(mut rest: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let (name, behind) = rest.split_once("=\"").expect(rest);
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            let (place, letter) = letters.next().expect("a closing quote");
            match letter {
                '"' => break place,
                '\\' => value.push(match letters.next().expect("what is escaped").1 {
                    'n' => '\n',
                    letter @ ('\\' | '"') => letter,
                    other => panic!("\\{other} stands for nothing"),
                }),
                letter => value.push(letter),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} again");
        rest = &behind[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}
