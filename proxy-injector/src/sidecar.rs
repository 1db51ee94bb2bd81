//! The patch that puts a proxy into a pod (identity-injector.md section 7).

use crate::{
    Error, Injector, Namespace, Warning, WorkloadKind,
    annotations::{self, OPAQUE_PORTS, text::is_network_list},
    container,
    environment::{self, Surroundings, tracing},
    init, opaque_ports,
    patch::Additions,
    settings::Settings,
    volumes,
    workload::{PodSpec, Template},
};
use json_patch::Patch;
use serde_json::json;
use std::collections::BTreeMap;

/// No label's value is longer.
const LONGEST_LABEL: usize = 63;

/// A workload that is to get a proxy.
pub(crate) struct Subject<'a> {
    pub(crate) kind: WorkloadKind,
    pub(crate) template: &'a Template,
    /// Known where a pod is being created.
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) namespace_name: Option<&'a str>,
    pub(crate) owner: Option<(&'static str, &'a str)>,
}

impl Injector {
    /// The whole patch.
    pub(crate) fn patch(&self, subject: &Subject<'_>) -> Result<(Patch, Vec<Warning>), Error> {
        let own = subject.template.annotations();
        let spec = &subject.template.spec;
        let mut added: BTreeMap<String, String> = annotations::inherited(own, subject.namespace)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let (mut settings, mut warnings) =
            annotations::settings(&self.values, own, subject.namespace);
        let default = || opaque_ports::pod_default(spec, &self.values.proxy.opaque_ports);
        if let Some(ports) = opaque_ports::missing(Some(own), subject.namespace, default) {
            settings.opaque_ports = Some(ports.clone());
            added.insert(OPAQUE_PORTS.to_owned(), ports);
        }
        self.check(&settings)?;
        let from = subject
            .namespace
            .filter(|_| !own.contains_key(OPAQUE_PORTS));
        let (opaque_ports, unread) = opaque_ports::for_proxy(&settings, spec, from);
        warnings.extend(unread);
        let labels = self.labels(subject, &mut warnings);
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        added.extend([
            set("linkerd.io/created-by", &self.created_by),
            set("linkerd.io/proxy-version", settings.proxy_version()),
            set("linkerd.io/trust-root-sha256", self.trust_anchors.sha256()),
        ]);
        let attributes = tracing::attributes(&settings.values, subject.template.labels(), own);
        let account = &*spec.service_account_name;
        if account.split('.').any(|part| part.len() > LONGEST_LABEL) {
            warnings.push(Warning::service_account(account));
        }
        let inbound_ports = settings.inbound_ports.clone();
        let surroundings = Surroundings {
            control_plane: &self.control_plane_namespace,
            trust_anchors: self.trust_anchors.pem(),
            opaque_ports: &opaque_ports,
            inbound_ports: &inbound_ports.unwrap_or_else(|| environment::inbound_ports(spec)),
            attributes: &attributes,
        };
        let mut patch = Additions::to(subject.kind.template_path());
        if subject.template.metadata.is_none() {
            patch.add(&["metadata"], json!({}));
        }
        patch.add_metadata("annotations", !own.is_empty(), &added);
        let has_labels = !subject.template.labels().is_empty();
        patch.add_metadata("labels", has_labels, &labels);
        containers(&mut patch, &settings, spec, &surroundings)?;
        Ok((patch.into_patch(), warnings))
    }

    /// That what is rendered would work.
    fn check(&self, settings: &Settings) -> Result<(), Error> {
        let values = &settings.values;
        if self.trust_anchors.is_empty() {
            return Err(Error::NoTrustAnchors);
        }
        let networks = values.cluster_networks.trim_matches(',');
        if let Some(bad) = networks
            .split(',')
            .find(|network| !is_network_list(network))
        {
            return Err(Error::ClusterNetworks(bad.to_owned()));
        }
        let headers = &values.proxy.log_http_headers;
        if !matches!(&**headers, "" | "off" | "insecure") {
            return Err(Error::LogHttpHeaders(headers.clone()));
        }
        tracing::check(values.proxy.tracing.as_ref())
    }

    fn labels(
        &self,
        subject: &Subject<'_>,
        warnings: &mut Vec<Warning>,
    ) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([(
            "linkerd.io/control-plane-ns".to_owned(),
            self.control_plane_namespace.clone(),
        )]);
        if let Some(namespace) = subject.namespace_name {
            labels.insert("linkerd.io/workload-ns".to_owned(), namespace.to_owned());
        }
        match subject.owner {
            // The pod would be refused for it; only metrics go without a name.
            Some((label, owner)) if owner.len() > LONGEST_LABEL => {
                warnings.push(Warning::owner_label(label, owner));
            }
            Some((label, owner)) if !owner.is_empty() => {
                labels.insert(label.to_owned(), owner.to_owned());
            }
            _ => {}
        }
        labels
    }
}

/// The containers and volumes, in the order of section 7.1.
fn containers(
    patch: &mut Additions,
    settings: &Settings,
    spec: &PodSpec,
    surroundings: &Surroundings<'_>,
) -> Result<(), Error> {
    let values = &settings.values;
    let native = values.proxy.native_sidecar;
    if spec.volumes.is_empty() {
        patch.add(&["spec", "volumes"], json!([]));
    }
    if spec.init_containers.is_empty() {
        patch.add(&["spec", "initContainers"], json!([]));
    }
    // Before the pod's own init containers where the proxy runs by then: they have
    // the mesh's network.
    let first = if native { "0" } else { "-" };
    if values.cni_enabled {
        patch.add(
            &["spec", "initContainers", first],
            init::validator(settings),
        );
    } else {
        patch.add(&["spec", "volumes", "-"], volumes::lock(values));
        patch.add(
            &["spec", "initContainers", first],
            init::init(settings, spec)?,
        );
    }
    if settings.debug {
        patch.add(&["spec", "containers", "-"], container::debug(settings));
    }
    for volume in volumes::proxy(values) {
        patch.add(&["spec", "volumes", "-"], volume);
    }
    let place = match (native, values.proxy.await_ready) {
        (true, _) => ["spec", "initContainers", "1"],
        // First, so that its hook holds up the others.
        (false, true) => ["spec", "containers", "0"],
        (false, false) => ["spec", "containers", "-"],
    };
    patch.add(&place, container::proxy(settings, spec, surroundings));
    Ok(())
}
