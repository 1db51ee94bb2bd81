//! The watch of one kind against a scripted API server, for what a real one
//! cannot be made to do on demand. Time is paused: waits cost nothing.

mod custom;
mod protobuf;
mod server;

use self::server::{PATIENCE, Server, node, page};
use crate::{object::Kind, source::ErrorReason};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const EXPIRED: &str = "the resource version is too old";

#[tokio::test(start_paused = true)]
async fn pages_are_one_list_and_a_watch_resumes_where_it_ended() {
    let mut server = Server::of_version("33").await;
    let first = page(&["a", "b"], 10, Some("next"));
    server.answer("/api/v1/nodes limit=500", &first).await;
    server
        .answer("continue=next", &page(&["c"], 10, None))
        .await;
    server
        .expect(&[
            "relisting Node",
            "applied a",
            "applied b",
            "applied c",
            "synced Node",
        ])
        .await;
    let watch = server.resume(10, 10).await;
    watch.send("MODIFIED", &node("a", 11));
    watch.send("DELETED", &node("b", 12));
    watch.bookmark(20, false);
    server.expect(&["applied a", "deleted b"]).await;
    assert!(server.is_connected());
    drop(watch);
    let watch = server.resume(20, 25).await;
    watch.send("ADDED", &node("d", 26));
    server.expect(&["applied d"]).await;
    assert_eq!(
        server.stats.kind(Kind::Node).restarts(),
        0,
        "it is what watches do"
    );
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_is_announced_each_time_it_begins() {
    let mut server = Server::of_version("34+").await;
    let list = "sendInitialEvents=true";
    let watch = server.answer_watch(list).await;
    watch.send("ADDED", &node("a", 1));
    server.expect(&["relisting Node", "applied a"]).await;
    // It breaks off; meanwhile a is deleted.
    drop(watch);
    let watch = server.answer_watch(list).await;
    watch.send("ADDED", &node("b", 2));
    watch.bookmark(30, true);
    server
        .expect(&["relisting Node", "applied b", "synced Node"])
        .await;
    watch.send("ADDED", &node("c", 31));
    server.expect(&["applied c"]).await;
    drop(watch);
    let watch = server.resume(31, 31).await;
    watch.send(
        "ERROR",
        &json!({"kind": "Status", "code": 410, "message": EXPIRED}),
    );
    let watch = server.answer_watch(list).await;
    // An empty list is one too.
    watch.bookmark(40, true);
    server.expect(&["relisting Node", "synced Node"]).await;
    assert_eq!(server.errors(ErrorReason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_streamed_lists_is_listed_by_pages() {
    let mut server = Server::of_version("34").await;
    server.refuse("sendInitialEvents=true", 422).await;
    let watch = server.list_and_watch(&["a"]).await;
    server
        .expect(&["relisting Node", "applied a", "synced Node"])
        .await;
    drop(watch);
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_leads_to_a_new_list_however_it_is_said() {
    let mut server = Server::of_version("33").await;
    let listed = ["relisting Node", "applied a", "synced Node"];
    let watch = server.list_and_watch(&["a"]).await;
    server.expect(&listed).await;
    watch.send(
        "ERROR",
        &json!({"kind": "Status", "code": 410, "message": EXPIRED}),
    );
    // By the status of the answer.
    server.answer("limit=500", &page(&["a"], 10, None)).await;
    server.expect(&listed).await;
    server.answer("limit=1", &page(&[], 10, None)).await;
    server.refuse("watch=true", 410).await;
    let watch = server.list_and_watch(&["a"]).await;
    server.expect(&listed).await;
    // By a server that has not got so far.
    watch.bookmark(900, false);
    drop(watch);
    server.answer("limit=1", &page(&[], 500, None)).await;
    let _watch = server.list_and_watch(&["a"]).await;
    server.expect(&listed).await;
    assert_eq!(server.errors(ErrorReason::Expired), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_or_absent_is_said_once_and_tried_again() {
    let mut server = Server::of_version("33").await;
    for _ in 0..3 {
        server.refuse("limit=500", 403).await;
    }
    server.expect(&["unavailable: nodes may not be read"]).await;
    for _ in 0..3 {
        server.refuse("limit=500", 404).await;
    }
    server
        .expect(&["unavailable: the API server does not serve nodes"])
        .await;
    assert!(!server.is_connected());
    let watch = server.list_and_watch(&["a"]).await;
    server
        .expect(&["relisting Node", "applied a", "synced Node"])
        .await;
    assert!(server.is_connected());
    assert_eq!(server.errors(ErrorReason::Forbidden), 3);
    assert_eq!(server.stats.kind(Kind::Node).restarts(), 6);
    // The permission is taken away from a running watch.
    drop(watch);
    server.refuse("limit=1", 403).await;
    server.refuse("watch=true", 403).await;
    server.expect(&["unavailable: nodes may not be read"]).await;
    let watch = server.resume(10, 11).await;
    watch.send("ADDED", &node("b", 12));
    server.expect(&["applied b"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_sends_nothing_and_its_end_is_seen_within_seconds() {
    let mut server = Server::start();
    // At start, and again with a list in the middle.
    server.refuse_connection("/version").await;
    server.tell_version("33").await;
    server
        .answer("limit=500", &page(&["a"], 10, Some("next")))
        .await;
    server.refuse_connection("continue=next").await;
    server.expect(&["relisting Node", "applied a"]).await;
    let watch = server.list_and_watch(&["b"]).await;
    server
        .expect(&["relisting Node", "applied b", "synced Node"])
        .await;
    drop(watch);
    for _ in 0..50 {
        server.refuse_connection("limit=1").await;
    }
    assert!(!server.is_connected());
    let down = Instant::now();
    let watch = server.resume(10, 11).await;
    assert!(down.elapsed() <= Duration::from_secs(5));
    watch.send("ADDED", &node("c", 12));
    server.expect(&["applied c"]).await;
    assert_eq!(server.errors(ErrorReason::Connection), 52);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_answers_for_the_server_is_not_asked_in_a_loop() {
    let mut server = Server::of_version("33").await;
    let watch = server.list_and_watch(&[]).await;
    server.expect(&["relisting Node", "synced Node"]).await;
    drop(watch);
    let started = Instant::now();
    for body in ["", "<html>", "", "{}"] {
        server.answer("limit=1", &page(&[], 10, None)).await;
        server.respond("watch=true", 502, body).await;
    }
    // One that ends each watch at once.
    for _ in 0..4 {
        drop(server.resume(10, 10).await);
    }
    assert!(started.elapsed() >= 7 * Duration::from_millis(250));
    assert_eq!(server.errors(ErrorReason::Server), 4);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_go_on_starts_over() {
    let mut server = Server::of_version("33").await;
    let watch = server.list_and_watch(&["a"]).await;
    server
        .expect(&["relisting Node", "applied a", "synced Node"])
        .await;
    drop(watch);
    for _ in 0..5 {
        server.answer("limit=1", &page(&[], 10, None)).await;
        server.refuse("watch=true", 400).await;
    }
    let _watch = server.list_and_watch(&["b"]).await;
    server
        .expect(&["relisting Node", "applied b", "synced Node"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn silence_is_taken_for_a_half_open_connection() {
    let mut server = Server::of_version("33").await;
    let watch = server.list_and_watch(&[]).await;
    server.expect(&["relisting Node", "synced Node"]).await;
    let started = Instant::now();
    for minute in 1..5 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        watch.bookmark(10 + minute, false);
    }
    let answer = server.asked("limit=1").await;
    assert_eq!(started.elapsed().as_secs(), 4 * 60 + 90);
    assert_eq!(server.errors(ErrorReason::Timeout), 1);
    // No answer at all is an error in the end, too.
    let started = Instant::now();
    server.asked("limit=1").await;
    assert!(started.elapsed() < Duration::from_secs(70));
    assert_eq!(server.errors(ErrorReason::Timeout), 2);
    drop((answer, watch));
}

#[tokio::test(start_paused = true)]
async fn a_broken_object_does_not_hide_the_others() {
    let mut server = Server::of_version("33").await;
    let mut list = page(&["a", "b"], 10, None);
    let items = list["items"].as_array_mut().unwrap();
    items.push(json!({"metadata": {"name": "c", "labels": 5}}));
    items.push(json!({"metadata": {"labels": {}}}));
    items.push(json!([]));
    items.push(node("d", 1));
    server.answer("limit=500", &list).await;
    server
        .expect(&[
            "relisting Node",
            "applied a",
            "applied b",
            "applied c",
            "applied d",
            "synced Node",
        ])
        .await;
    assert_eq!(server.errors(ErrorReason::Malformed), 2);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_sink_also_when_nothing_happens() {
    let mut server = Server::of_version("33").await;
    let _watch = server.list_and_watch(&[]).await;
    server.expect(&["relisting Node", "synced Node"]).await;
    server.events.close();
    timeout(PATIENCE, server.watch).await.unwrap().unwrap();
}
