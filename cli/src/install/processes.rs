//! The processes of the control plane, as they would be started.

use super::rendered::Rendered;
use serde_json::Value;

/// Says why a process with these arguments would not start, if it would not. The flags of
/// `ferrule serve` are the binary's, so whoever runs commands hands this in.
pub type Starts = fn(&[String]) -> Result<(), String>;

/// What would not start, and why: a slip in `additionalArgs`, say, or a flag in them that is
/// there already.
pub(super) fn problems(rendered: &Rendered, starts: Starts) -> Vec<String> {
    let deployments = rendered.objects().iter();
    let deployments = deployments.filter(|object| object["kind"] == "Deployment");
    let mut problems = Vec::new();
    for deployment in deployments {
        let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
        for container in containers.into_iter().flatten() {
            if let Some(args) = arguments(container)
                && let Err(reason) = starts(&args)
            {
                problems.push(format!("Deployment {name} would not start: {reason}"));
            }
        }
    }
    problems
}

/// The arguments of one of ours.
fn arguments(container: &Value) -> Option<Vec<String>> {
    let args = container["args"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str);
    // What the kubelet fills in is not known here.
    let known: Vec<_> = args
        .filter(|arg| !arg.contains("$("))
        .map(str::to_owned)
        .collect();
    (known.first()? == "serve").then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_ours_is_tried_with_what_is_known_of_its_arguments() {
        let text = "\
kind: Deployment
metadata: {name: good}
spec: {template: {spec: {containers: [{args: [serve, --a, '--b=$(B)']}, {args: [other]}, {}]}}}
---
kind: Deployment
metadata: {name: bad}
spec: {template: {spec: {containers: [{args: [serve, --c]}]}}}
---
kind: DaemonSet
metadata: {name: others}
spec: {template: {spec: {containers: [{args: [serve, --d]}]}}}
";
        let rendered = Rendered::parse(text.to_owned()).unwrap();
        let starts: Starts = |args| match args[1..] == ["--a"] {
            true => Ok(()),
            false => Err(args.join(" ")),
        };
        assert_eq!(
            problems(&rendered, starts),
            ["Deployment bad would not start: serve --c"]
        );
    }
}
