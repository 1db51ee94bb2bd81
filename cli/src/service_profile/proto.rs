//! Routes of gRPC services: each method is one.

use super::escaped;
use serde_json::{Value, json};

/// The routes of all services of a file, in its order. What it imports is not needed.
///
/// # Errors
/// If it is no .proto file, or has no services.
pub(super) fn routes(name: &str, text: &str) -> Result<Vec<Value>, String> {
    let file = protox_parse::parse(name, text).map_err(|error| error.to_string())?;
    let package = match file.package() {
        "" => String::new(),
        package => format!("{package}."),
    };
    let methods = file.service.iter().flat_map(|service| {
        let package = &package;
        let methods = service.method.iter();
        methods.map(move |method| format!("/{package}{}/{}", service.name(), method.name()))
    });
    let routes = methods.map(|path| {
        json!({
            "name": path,
            "condition": {"method": "POST", "pathRegex": escaped(&path)},
        })
    });
    let routes: Vec<_> = routes.collect();
    match routes.is_empty() {
        true => Err("it has no services with methods".to_owned()),
        false => Ok(routes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_is_a_route() {
        let text = r#"
syntax = "proto3";
package shop.v1;
import "google/protobuf/empty.proto";
// service Old { rpc Gone(A) returns (A); }
service Orders {
  rpc Place(Order) returns (stream Order);
  rpc Cancel(Order) returns (google.protobuf.Empty) { option deprecated = true; }
}
message Order { string id = 1; }
service Stock { rpc Count(Order) returns (Order) {} }
"#;
        let routes = routes("orders.proto", text).unwrap();
        let names: Vec<_> = routes.iter().map(|route| &route["name"]).collect();
        let expected = [
            "/shop.v1.Orders/Place",
            "/shop.v1.Orders/Cancel",
            "/shop.v1.Stock/Count",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            routes[0]["condition"],
            json!({"method": "POST", "pathRegex": r"/shop\.v1\.Orders/Place"})
        );
    }

    #[test]
    fn what_is_no_service_is_said() {
        assert!(
            routes("a", "syntax = \"proto3\"; message A {}")
                .unwrap_err()
                .contains("no services")
        );
        assert!(routes("a", "service {").is_err());
    }
}
