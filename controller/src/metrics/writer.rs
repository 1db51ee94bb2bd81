use ferrule_cluster::Distribution;
use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
    },
    metrics::MetricType,
};
use std::fmt;

/// Labels of a sample.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// No labels.
pub(super) const NONE: [(&str, &str); 0] = [];

/// Writes families of samples. A family's name stands with its labels, as in
/// `leader{lease}`: they are what docs/metrics.md is made of, and what a test holds
/// against the samples.
pub(super) struct Writer<'a>(DescriptorEncoder<'a>);

impl<'a> Writer<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A gauge without labels.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue + Copy,
    ) -> fmt::Result {
        self.gauges(name, help, [(NONE, value)])
    }

    /// A counter without labels; `_total` is added to the name.
    pub(super) fn counter(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeCounterValue + Copy,
    ) -> fmt::Result {
        self.counters(name, help, [(NONE, value)])
    }

    /// A value that only grows for each set of labels, under a name that
    /// OpenMetrics does not allow a counter: dashboards know it so.
    pub(super) fn old_counter<'l, L, V>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
        V: EncodeGaugeValue,
    {
        self.family(name, help, MetricType::Unknown, samples, |sample, value| {
            sample.encode_gauge(&value)
        })
    }

    /// A histogram without labels.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        distribution: Distribution,
    ) -> fmt::Result {
        self.histograms(name, help, [(NONE, distribution)])
    }

    /// A gauge for each set of labels.
    pub(super) fn gauges<'l, L, V>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
        V: EncodeGaugeValue,
    {
        self.family(name, help, MetricType::Gauge, samples, |sample, value| {
            sample.encode_gauge(&value)
        })
    }

    /// A counter for each set of labels; `_total` is added to the name.
    pub(super) fn counters<'l, L, V>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
        V: EncodeCounterValue,
    {
        self.family(name, help, MetricType::Counter, samples, |sample, value| {
            sample.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    /// A histogram for each set of labels.
    pub(super) fn histograms<'l, L>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, Distribution)>,
    ) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
    {
        self.family(
            name,
            help,
            MetricType::Histogram,
            samples,
            |sample, value| {
                let Distribution {
                    sum,
                    count,
                    buckets,
                } = value;
                sample.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            },
        )
    }

    fn family<'l, L, V>(
        &mut self,
        name: &str,
        help: &str,
        metric_type: MetricType,
        samples: impl IntoIterator<Item = (L, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result
    where
        L: AsRef<[(&'l str, &'l str)]>,
    {
        let declared = Declared::parse(name);
        #[cfg(test)]
        super::reference::declare(&declared, help, metric_type);
        let mut family = self
            .0
            .encode_descriptor(declared.name, help, None, metric_type)?;
        for (labels, value) in samples {
            let labels: Labels<'_> = labels.as_ref();
            debug_assert!(declared.has(labels), "{name} has other labels: {labels:?}");
            if labels.is_empty() {
                encode(&mut family, value)?;
            } else {
                encode(&mut family.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}

/// A family's name, and the names of its labels.
pub(super) struct Declared<'a> {
    pub(super) name: &'a str,
    labels: &'a str,
}

impl<'a> Declared<'a> {
    fn parse(text: &'a str) -> Self {
        match text.split_once('{') {
            Some((name, rest)) => Self {
                name,
                labels: rest.trim_end_matches('}'),
            },
            None => Self {
                name: text,
                labels: "",
            },
        }
    }

    /// The names of the labels, in their order.
    pub(super) fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.labels.split(',').filter(|label| !label.is_empty())
    }

    fn has(&self, labels: Labels<'_>) -> bool {
        self.labels().eq(labels.iter().map(|(name, _)| *name))
    }
}
