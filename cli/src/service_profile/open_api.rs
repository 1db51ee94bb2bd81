//! Routes of an OpenAPI 3 or Swagger 2 document: each operation of each path is one.

use super::escaped;
use serde_json::{Value, json};

/// Operations of a path, as the documents spell them.
const METHODS: [&str; 8] = [
    "delete", "get", "head", "options", "patch", "post", "put", "trace",
];
/// What a document may say of an operation beside what the standard knows.
const RETRYABLE: &str = "x-linkerd-retryable";
const TIMEOUT: &str = "x-linkerd-timeout";

/// The routes, in the order of their paths.
///
/// # Errors
/// If it is no such document.
pub(super) fn routes(text: &str) -> Result<Vec<Value>, String> {
    let document: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let is_known = |key: &str, start: &str| {
        let version = &document[key];
        let text = version.as_str().map(ToOwned::to_owned);
        let text = text.or_else(|| version.is_number().then(|| version.to_string()));
        text.is_some_and(|version| version.starts_with(start))
    };
    let base = if is_known("swagger", "2") {
        document["basePath"].as_str().unwrap_or_default().to_owned()
    } else if is_known("openapi", "3") {
        base_of(document["servers"][0]["url"].as_str().unwrap_or_default())
    } else {
        return Err(
            "it is neither OpenAPI 3 (openapi: 3...) nor Swagger 2 (swagger: \"2.0\")".to_owned(),
        );
    };
    let base = base.trim_end_matches('/');
    let paths = document["paths"].as_object();
    let paths = paths.ok_or("it has no paths")?;
    let mut routes = Vec::new();
    for (path, item) in paths {
        let path = format!("{base}{path}");
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                routes.push(route(&path, method, operation));
            }
        }
    }
    Ok(routes)
}

/// The path of a server's URL, which may be one alone.
fn base_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.find('/') {
        Some(start) => rest[start..].to_owned(),
        None => String::new(),
    }
}

fn route(path: &str, method: &str, operation: &Value) -> Value {
    let method = method.to_ascii_uppercase();
    let mut route = json!({
        "name": format!("{method} {path}"),
        "condition": {"method": method, "pathRegex": regex(path)},
    });
    let codes = operation["responses"].as_object().into_iter().flatten();
    let classes: Vec<_> = codes.filter_map(|(code, _)| class(code)).collect();
    if !classes.is_empty() {
        route["responseClasses"] = classes.into();
    }
    if operation[RETRYABLE] == true {
        route["isRetryable"] = true.into();
    }
    if let Some(timeout) = operation[TIMEOUT].as_str() {
        route["timeout"] = timeout.into();
    }
    route
}

/// Responses of a code, or of a range such as `5XX`.
fn class(code: &str) -> Option<Value> {
    let (min, max) = match code.strip_suffix("XX").or_else(|| code.strip_suffix("xx")) {
        Some(hundred) => {
            let hundred: u16 = hundred.parse().ok().filter(|of| (1..=5).contains(of))?;
            (hundred * 100, hundred * 100 + 99)
        }
        None => {
            let code: u16 = code
                .parse()
                .ok()
                .filter(|code| (100..=599).contains(code))?;
            (code, code)
        }
    };
    let mut class = json!({"condition": {"status": {"min": min, "max": max}}});
    if min >= 500 {
        class["isFailure"] = true.into();
    }
    Some(class)
}

/// A path with parameters, `/books/{id}`, each of which is a part of it.
fn regex(path: &str) -> String {
    let mut regex = String::new();
    let mut rest = path;
    while let Some((literal, parameter)) = rest.split_once('{') {
        let Some((_, after)) = parameter.split_once('}') else {
            break;
        };
        regex += &escaped(literal);
        regex += "[^/]*";
        rest = after;
    }
    regex + &escaped(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_part_of_the_path() {
        for (path, expected) in [
            ("/books", "/books"),
            ("/books/{id}", "/books/[^/]*"),
            ("/a.b/{x}-{y}/c", r"/a\.b/[^/]*-[^/]*/c"),
            ("/odd{", r"/odd\{"),
        ] {
            assert_eq!(regex(path), expected);
        }
    }

    #[test]
    fn each_operation_is_a_route_in_both_versions() {
        let paths = "
paths:
  /books/{id}:
    parameters: []
    get:
      x-linkerd-retryable: true
      x-linkerd-timeout: 250ms
      responses:
        200: {description: fine}
        \"404\": {description: gone}
        5XX: {description: broken}
        default: {description: whatever}
    delete: {}
";
        let expected = json!([
            {
                "name": "DELETE /v1/books/{id}",
                "condition": {"method": "DELETE", "pathRegex": "/v1/books/[^/]*"},
            },
            {
                "name": "GET /v1/books/{id}",
                "condition": {"method": "GET", "pathRegex": "/v1/books/[^/]*"},
                "isRetryable": true, "timeout": "250ms",
                "responseClasses": [
                    {"condition": {"status": {"min": 200, "max": 200}}},
                    {"condition": {"status": {"min": 404, "max": 404}}},
                    {"condition": {"status": {"min": 500, "max": 599}}, "isFailure": true},
                ],
            },
        ]);
        for head in [
            "swagger: \"2.0\"\nbasePath: /v1/",
            "swagger: 2.0\nbasePath: /v1",
            "openapi: 3.0.3\nservers: [{url: \"https://books.test/v1\"}]",
            "openapi: 3.1.0\nservers: [{url: /v1}]",
        ] {
            let routes = routes(&format!("{head}{paths}")).unwrap();
            assert_eq!(Value::from(routes), expected, "{head}");
        }
    }

    #[test]
    fn what_is_no_such_document_is_said() {
        for (text, told) in [
            ("openapi: 2.9", "neither OpenAPI 3"),
            ("a: b", "neither OpenAPI 3"),
            ("openapi: 3.0.0", "no paths"),
            ("{", "line"),
        ] {
            let error = routes(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
