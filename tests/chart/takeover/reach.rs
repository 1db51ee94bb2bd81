//! Which pods are behind a Service while those of both control planes run.

use super::linkerd::Charts;
use crate::helm::{documents, objects, render_chart};
use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

/// Whether a pod of the Deployments among these has the port that the Service leads to.
fn finds(service: &Value, objects: &[Value]) -> bool {
    let selector = service["spec"]["selector"].as_object();
    let target = &service["spec"]["ports"][0]["targetPort"];
    let deployments = objects
        .iter()
        .filter(|object| object["kind"] == "Deployment");
    let mut pods = deployments.map(|deployment| &deployment["spec"]["template"]);
    pods.any(|pod| {
        let labels = &pod["metadata"]["labels"];
        let mut wanted = selector.into_iter().flatten();
        let containers = pod["spec"]["containers"].as_array();
        let ports = containers.into_iter().flatten();
        let mut ports =
            ports.flat_map(|container| container["ports"].as_array().into_iter().flatten());
        wanted.all(|(label, value)| labels[label] == *value)
            && ports.any(|port| port["name"] == *target || port["containerPort"] == *target)
    })
}

#[tokio::test]
async fn either_charts_services_lead_to_pods_of_both_where_both_can_answer() -> Result<()> {
    let folder = TempDir::new()?;
    let charts = Charts::new(folder.path()).await?;
    let given = [
        "--set=identity.issuer.tls.crtPEM=a",
        "--set=identity.issuer.tls.keyPEM=b",
    ];
    let linkerds = documents(&render_chart(&charts.control_plane, &given).await?)?;
    let ferrules = objects(&[]).await?;
    let mut seen = 0;
    for (services, of) in [(&ferrules, "Ferrule"), (&linkerds, "Linkerd")] {
        for service in services.iter().filter(|object| object["kind"] == "Service") {
            seen += 1;
            let name = service["metadata"]["name"].as_str().context("a name")?;
            let (ferrule, linkerd) = match (of, name) {
                // Linkerd's answers at its own path alone, which is not Ferrule's.
                ("Ferrule", "linkerd-policy-validator") => (true, false),
                // Ferrule has one port for what are two there.
                ("Linkerd", "linkerd-policy-validator" | "linkerd-sp-validator") => (false, true),
                _ => (true, true),
            };
            assert_eq!(
                finds(service, &ferrules),
                ferrule,
                "{of}'s {name}: Ferrule's pods"
            );
            assert_eq!(
                finds(service, &linkerds),
                linkerd,
                "{of}'s {name}: Linkerd's pods"
            );
        }
    }
    assert_eq!(seen, 16);
    Ok(())
}
