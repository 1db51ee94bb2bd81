//! A ServiceProfile to start from.

pub(super) fn template(name: &str, namespace: &str) -> String {
    TEMPLATE
        .replace("NAMESPACE", namespace)
        .replace("NAME", name)
}

const TEMPLATE: &str = r#"# The routes of a Service. Proxies count requests by route, and retry or time out as it says.
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  # The Service's full name; the profile is in its namespace, or in a client's, for that
  # namespace's clients alone.
  name: NAME
  namespace: NAMESPACE
spec:
  # Of several routes that match a request the first counts.
  routes:
    - # What it is called in metrics.
      name: GET /books/{id}
      # Which requests it is about. pathRegex matches whole paths. Conditions can be put
      # together by `all`, `any` and `not`.
      condition:
        method: GET
        pathRegex: /books/[^/]*
      # Which responses are failures; without this they are those from 500 on.
      responseClasses:
        - condition:
            status:
              min: 500
              max: 599
          isFailure: true
      # Whether a request that failed may be sent again. Only where doing it twice does no
      # harm.
      isRetryable: true
      # How long a request may take, with all its retries.
      timeout: 300ms
  # How many of the requests may be retries: a fifth of all, and ten a second beside.
  retryBudget:
    retryRatio: 0.2
    minRetriesPerSecond: 10
    ttl: 10s
"#;
