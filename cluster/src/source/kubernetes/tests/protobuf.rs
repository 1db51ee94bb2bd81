//! What is told in protobuf.

use super::{
    super::protobuf::encoding::{entry, enveloped, event, field, message},
    server::Server,
};

const LIST: &str = "sendInitialEvents=true";

fn told(kind: &str, name: &str, version: &str) -> Vec<u8> {
    let metadata = message(1, &[field(1, name), field(6, version)]);
    let envelope = enveloped("meta.k8s.io/v1", "PartialObjectMetadata", &metadata);
    event(kind, &envelope)
}

#[tokio::test(start_paused = true)]
async fn a_watch_in_protobuf_is_as_one_in_json() {
    let mut server = Server::of_version("36").await;
    let watch = server.answer_in_protobuf(LIST).await.unwrap();
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
    watch.bytes(&[told("MODIFIED", "a", "11"), told("DELETED", "a", "12")].concat());
    server.expect(&["applied a", "deleted a"]).await;
    drop(watch);
    let watch = server.resume(12, 12).await;
    drop(watch);
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_protobuf_cannot_be_read_is_watched_in_json() {
    let mut server = Server::of_version("36").await;
    let watch = server.answer_in_protobuf(LIST).await.unwrap();
    watch.bytes(&told("ADDED", "a", "1"));
    server.expect(&["relisting Node", "applied a"]).await;
    watch.bytes(&[0xff; 8]);
    assert!(server.answer_in_protobuf(LIST).await.is_none());
    let watch = server.answer_watch(LIST).await;
    watch.send("ADDED", &super::server::node("b", 2));
    watch.bookmark(10, true);
    server
        .expect(&["relisting Node", "applied b", "synced Node"])
        .await;
}
