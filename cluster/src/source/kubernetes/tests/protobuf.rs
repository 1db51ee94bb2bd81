//! What is told in protobuf.

use super::{
    super::protobuf::encoding::{entry, enveloped, event, field, message},
    server::{Sending, Server, node, page},
};
use crate::source::ErrorReason;
use std::time::Duration;

const LIST: &str = "sendInitialEvents=true";

fn told(kind: &str, name: &str, version: &str) -> Vec<u8> {
    let metadata = message(1, &[field(1, name), field(6, version)]);
    let envelope = enveloped("meta.k8s.io/v1", "PartialObjectMetadata", &metadata);
    event(kind, &envelope)
}

/// A server that has listed a node in protobuf, and its watch from version 10.
async fn listed() -> (Server, Sending) {
    let mut server = Server::of_version("36").await;
    let watch = server.answer_in_protobuf(LIST).await;
    let added = told("ADDED", "a", "1");
    let (start, end) = added.split_at(added.len() / 2);
    watch.bytes(start);
    watch.bytes(end);
    let ends = message(
        1,
        &[
            field(6, "10"),
            entry(12, "k8s.io/initial-events-end", "true"),
        ],
    );
    let envelope = enveloped("meta.k8s.io/v1", "PartialObjectMetadata", &ends);
    watch.bytes(&event("BOOKMARK", &envelope));
    server
        .expect(&["relisting Node", "applied a", "synced Node"])
        .await;
    assert!(server.is_protobuf());
    (server, watch)
}

/// Lets a watch that has ended go on from a version; the parts of its request.
async fn resumed(server: &mut Server, version: u64) -> String {
    server.answer("limit=1", &page(&[], version, None)).await;
    format!("watch=true resourceVersion={version}")
}

#[tokio::test(start_paused = true)]
async fn a_watch_in_protobuf_is_as_one_in_json() {
    let (mut server, watch) = listed().await;
    watch.bytes(&[told("MODIFIED", "a", "11"), told("DELETED", "a", "12")].concat());
    server.expect(&["applied a", "deleted a"]).await;
    drop(watch);
    let request = resumed(&mut server, 12).await;
    server.answer_in_protobuf(&request).await;
    assert_eq!(server.errors(ErrorReason::Connection), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_in_an_event_goes_on_before_it() {
    let (mut server, watch) = listed().await;
    watch.bytes(&told("MODIFIED", "b", "11"));
    let cut = told("MODIFIED", "c", "12");
    watch.bytes(&cut[..cut.len() - 1]);
    server.expect(&["applied b"]).await;
    drop(watch);
    let request = resumed(&mut server, 11).await;
    let watch = server.answer_in_protobuf(&request).await;
    watch.bytes(&cut);
    server.expect(&["applied c"]).await;
    assert_eq!(server.errors(ErrorReason::Connection), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_in_json_for_a_while() {
    let (mut server, watch) = listed().await;
    // What is before it comes again with it.
    let good = told("MODIFIED", "a", "11");
    watch.bytes(&[&good[..], &[0, 0, 0, 1, 0xff]].concat());
    let request = resumed(&mut server, 10).await;
    let watch = server.answer_in_json(&request).await;
    watch.send("MODIFIED", &node("a", 11));
    server.expect(&["applied a"]).await;
    assert_eq!(server.errors(ErrorReason::Malformed), 1);
    assert_eq!(server.errors(ErrorReason::Connection), 0);
    assert!(!server.is_protobuf());

    tokio::time::advance(Duration::from_secs(3600)).await;
    drop(watch);
    let request = resumed(&mut server, 11).await;
    server.answer_in_protobuf(&request).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_begins_again_in_json() {
    let mut server = Server::of_version("36").await;
    let watch = server.answer_in_protobuf(LIST).await;
    watch.bytes(&told("ADDED", "a", "1"));
    server.expect(&["relisting Node", "applied a"]).await;
    watch.bytes(&[0xff; 8]);
    is_listed_in_json(&mut server).await;
}

#[tokio::test(start_paused = true)]
async fn who_refuses_protobuf_is_asked_for_json() {
    for (code, times) in [(406, 1), (415, 1), (500, 5)] {
        let mut server = Server::of_version("36").await;
        for _ in 0..times {
            server.refuse(LIST, code).await;
        }
        is_listed_in_json(&mut server).await;
    }
}

async fn is_listed_in_json(server: &mut Server) {
    let watch = server.answer_in_json(LIST).await;
    watch.send("ADDED", &node("b", 2));
    watch.bookmark(10, true);
    server
        .expect(&["relisting Node", "applied b", "synced Node"])
        .await;
    assert!(!server.is_protobuf());
}
