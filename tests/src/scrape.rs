use anyhow::{Context as _, bail, ensure};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

/// A scrape in Prometheus' text format, read by its rules: what a Prometheus server
/// would refuse is an error.
#[derive(Clone, Debug)]
pub struct Scrape {
    text: String,
    families: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

/// A sample of a metric.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads a scrape.
    ///
    /// # Errors
    /// On the line that breaks a rule.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut scrape = Self {
            text: text.to_owned(),
            families: BTreeMap::new(),
            samples: Vec::new(),
        };
        let mut family = String::new();
        let mut series = HashSet::new();
        for line in text.lines() {
            scrape
                .line(line, &mut family, &mut series)
                .with_context(|| line.to_owned())?;
        }
        ensure!(text.ends_with('\n'), "the last line has no end");
        scrape.check_histograms()?;
        Ok(scrape)
    }

    /// The sum of a metric's samples that have all of these labels; `None` if there
    /// is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut samples = self.samples.iter().filter(|sample| {
            let has = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        });
        let first = samples.next()?.value;
        Some(samples.fold(first, |sum, sample| sum + sample.value))
    }

    /// The names of the labels of a metric's samples.
    pub fn label_names(&self, name: &str) -> Vec<&str> {
        let sample = self.samples.iter().find(|sample| sample.name == name);
        let labels = sample.into_iter().flat_map(|sample| sample.labels.keys());
        labels.map(String::as_str).collect()
    }

    /// What a metric was declared as.
    pub fn kind(&self, family: &str) -> Option<&str> {
        self.families.get(family).map(String::as_str)
    }

    fn line(
        &mut self,
        line: &str,
        family: &mut String,
        series: &mut HashSet<String>,
    ) -> anyhow::Result<()> {
        if line.starts_with("# HELP ") || line.is_empty() {
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("a name and a type")?;
            ensure!(
                ["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind),
                "no such type"
            );
            let known = self.families.insert(name.to_owned(), kind.to_owned());
            ensure!(known.is_none(), "declared twice");
            name.clone_into(family);
            return Ok(());
        }
        ensure!(!line.starts_with('#'), "an unknown comment");
        let sample = sample(line)?;
        let is_of_family = match self.families.get(family).map(String::as_str) {
            Some("histogram") => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| sample.name.strip_suffix(suffix) == Some(&**family)),
            _ => sample.name == *family,
        };
        ensure!(is_of_family, "not of the family {family} that it stands in");
        let id = format!("{}{:?}", sample.name, sample.labels);
        ensure!(series.insert(id), "the same series twice");
        self.samples.push(sample);
        Ok(())
    }

    /// Buckets grow, and the last one is the count.
    fn check_histograms(&self) -> anyhow::Result<()> {
        let mut buckets: HashMap<String, Vec<(f64, f64)>> = HashMap::new();
        for sample in &self.samples {
            let Some(family) = sample.name.strip_suffix("_bucket") else {
                continue;
            };
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").context("a bucket has a bound")?;
            let bound = if bound == "+Inf" {
                f64::INFINITY
            } else {
                bound.parse()?
            };
            let id = format!("{family}{labels:?}");
            buckets.entry(id).or_default().push((bound, sample.value));
        }
        for sample in &self.samples {
            let Some(family) = sample.name.strip_suffix("_count") else {
                continue;
            };
            if self.kind(family) != Some("histogram") {
                continue;
            }
            let id = format!("{family}{:?}", sample.labels);
            let buckets = buckets
                .get(&id)
                .with_context(|| format!("{id} has no buckets"))?;
            let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            ensure!(buckets.windows(2).all(grows), "{id}: {buckets:?}");
            let last = buckets.last().copied();
            ensure!(
                last == Some((f64::INFINITY, sample.value)),
                "{id}: {buckets:?}"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .context("a value")?;
    let (name, rest) = line.split_at(end);
    ensure!(!name.is_empty(), "a name");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = value.trim();
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value: value
            .parse()
            .with_context(|| format!("{value:?} is no number"))?,
    })
}

/// Labels, and what follows them.
fn labels(mut rest: &str) -> anyhow::Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, value) = rest.split_once("=\"").context("a label")?;
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().context("a value that ends")? {
                (at, '"') => break at,
                (_, '\\') => match characters.next().context("an escaped character")?.1 {
                    'n' => text.push('\n'),
                    escaped @ ('"' | '\\') => text.push(escaped),
                    other => bail!("{other:?} is escaped"),
                },
                (_, other) => text.push(other),
            }
        };
        let known = labels.insert(name.to_owned(), text);
        ensure!(known.is_none(), "the label {name} twice");
        rest = &value[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_refuses_is_an_error() {
        for text in [
            "# TYPE a counter\na{b=\"1\"} 1\na{b=\"1\"} 2\n",
            "# TYPE a counter\nb 1\n",
            "# TYPE a counter\n# TYPE a gauge\n",
            "# TYPE a counter\na one\n",
            "# TYPE a counter\na{b=\"1} 1\n",
            "# TYPE a counter\na 1",
            "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_count 1\n",
            "# EOF\n",
        ] {
            assert!(Scrape::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn samples_are_found_by_their_labels() -> anyhow::Result<()> {
        let text =
            "# HELP a What.\n# TYPE a gauge\na{b=\"x\\\"\\n\",c=\"\"} 1.5\na{b=\"y\",c=\"\"} 2\n";
        let scrape = Scrape::parse(text)?;
        assert_eq!(scrape.sum("a", &[("b", "x\"\n")]), Some(1.5));
        assert_eq!(scrape.sum("a", &[("c", "")]), Some(3.5));
        assert_eq!(scrape.sum("a", &[("b", "z")]), None);
        assert_eq!(scrape.label_names("a"), ["b", "c"]);
        Ok(())
    }
}
