//! What a set of .proto files says of the wire, as facts with names, so that
//! two sets can be compared fact by fact.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueOptions, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions,
    OneofDescriptorProto, ServiceDescriptorProto, ServiceOptions,
};

/// What is said (`2 optional TYPE_UINT32 json=port`) by what it is said of
/// (`field io.linkerd.proxy.net.TcpAddress.port`).
#[derive(Debug, Default)]
pub(crate) struct Facts(BTreeMap<String, String>);

impl Facts {
    /// All there is in the set but Google's own packages. Comments, file names
    /// and options for other languages are no facts: they are not on the wire.
    pub(crate) fn of(set: &FileDescriptorSet) -> Self {
        let mut facts = Self::default();
        for file in &set.file {
            if !file.package().starts_with("google.protobuf") {
                facts.add_file(file);
            }
        }
        facts
    }

    /// One line for each fact that the two do not share, naming it.
    pub(crate) fn differences(&self, published: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(published.0.keys()).collect();
        names
            .into_iter()
            .filter_map(|name| match (self.0.get(name), published.0.get(name)) {
                (Some(ours), Some(published)) if ours != published => {
                    Some(format!("{name}: ours is {ours}, published is {published}"))
                }
                (Some(ours), None) => Some(format!("{name}: only ours has it, as {ours}")),
                (None, Some(published)) => {
                    Some(format!("{name}: only the published has it, as {published}"))
                }
                _ => None,
            })
            .collect()
    }

    fn add(&mut self, kind: &str, name: &str, said: impl IntoIterator<Item = String>) {
        let said: Vec<String> = said.into_iter().filter(|part| !part.is_empty()).collect();
        let said = format!("`{}`", said.join(" "));
        let old = self.0.insert(format!("{kind} {name}"), said);
        assert!(
            old.is_none() || kind == "package",
            "{kind} {name} comes twice"
        );
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        let package = file.package();
        self.add("package", package, [file.syntax().to_owned()]);
        for message in &file.message_type {
            self.add_message(package, message);
        }
        for r#enum in &file.enum_type {
            self.add_enum(package, r#enum);
        }
        for service in &file.service {
            self.add_service(package, service);
        }
        for extension in &file.extension {
            self.add_field("extension", package, extension, &[]);
        }
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        let options = message.options.clone().unwrap_or_default();
        let mut said = vec![
            flag("map_entry", options.map_entry()),
            flag("deprecated", options.deprecated()),
        ];
        let ranges = message.reserved_range.iter();
        said.extend(reserved(
            ranges.map(|range| (range.start(), range.end() - 1)),
            &message.reserved_name,
        ));
        self.add("message", &name, said);

        for field in &message.field {
            self.add_field("field", &name, field, &message.oneof_decl);
        }
        for extension in &message.extension {
            self.add_field("extension", &name, extension, &[]);
        }
        for nested in &message.nested_type {
            self.add_message(&name, nested);
        }
        for r#enum in &message.enum_type {
            self.add_enum(&name, r#enum);
        }
    }

    fn add_field(
        &mut self,
        kind: &str,
        scope: &str,
        field: &FieldDescriptorProto,
        oneofs: &[OneofDescriptorProto],
    ) {
        let options = field.options.clone().unwrap_or_default();
        let label = field.label().as_str_name().trim_start_matches("LABEL_");
        let oneof = field
            .oneof_index
            .map(|index| format!("oneof={}", oneofs[index as usize].name()));
        let said = [
            field.number().to_string(),
            label.to_lowercase(),
            field.r#type().as_str_name().to_owned(),
            field.type_name().to_owned(),
            oneof.unwrap_or_default(),
            format!("json={}", field.json_name()),
            field.default_value().to_owned(),
            flag("proto3_optional", field.proto3_optional()),
            flag("deprecated", options.deprecated()),
            options
                .packed
                .map_or(String::new(), |packed| format!("packed={packed}")),
        ];
        self.add(kind, &format!("{scope}.{}", field.name()), said);
    }

    fn add_enum(&mut self, scope: &str, r#enum: &EnumDescriptorProto) {
        let name = format!("{scope}.{}", r#enum.name());
        let options = r#enum.options.clone().unwrap_or_default();
        let mut said = vec![
            flag("allow_alias", options.allow_alias()),
            flag("deprecated", options.deprecated()),
        ];
        let ranges = r#enum.reserved_range.iter();
        said.extend(reserved(
            ranges.map(|range| (range.start(), range.end())),
            &r#enum.reserved_name,
        ));
        self.add("enum", &name, said);

        for value in &r#enum.value {
            let deprecated = value
                .options
                .as_ref()
                .is_some_and(EnumValueOptions::deprecated);
            self.add(
                "value",
                &format!("{name}.{}", value.name()),
                [value.number().to_string(), flag("deprecated", deprecated)],
            );
        }
    }

    fn add_service(&mut self, scope: &str, service: &ServiceDescriptorProto) {
        let name = format!("{scope}.{}", service.name());
        let deprecated = service
            .options
            .as_ref()
            .is_some_and(ServiceOptions::deprecated);
        self.add("service", &name, [flag("deprecated", deprecated)]);
        for method in &service.method {
            self.add_method(&name, method);
        }
    }

    fn add_method(&mut self, scope: &str, method: &MethodDescriptorProto) {
        let deprecated = method
            .options
            .as_ref()
            .is_some_and(MethodOptions::deprecated);
        let said = [
            flag("stream", method.client_streaming()),
            method.input_type().to_owned(),
            "returns".to_owned(),
            flag("stream", method.server_streaming()),
            method.output_type().to_owned(),
            flag("deprecated", deprecated),
        ];
        self.add("rpc", &format!("{scope}.{}", method.name()), said);
    }
}

fn flag(name: &str, set: bool) -> String {
    if set { name.to_owned() } else { String::new() }
}

/// Ranges include both ends; their order in the file says nothing.
fn reserved(ranges: impl Iterator<Item = (i32, i32)>, names: &[String]) -> Vec<String> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    let mut names = names.to_vec();
    names.sort_unstable();
    let ranges = ranges
        .iter()
        .map(|(first, last)| format!("reserved={first}-{last}"));
    let names = names.iter().map(|name| format!("reserved={name}"));
    ranges.chain(names).collect()
}
