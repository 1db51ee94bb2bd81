use super::*;

fn addr(last: u8) -> Addr {
    Addr {
        ip: [10, 0, 0, last].into(),
        port: 8080,
    }
}

fn put(view: &EndpointsView, last: u8) {
    let addr = addr(last);
    let element = Bytes::copy_from_slice(&[last; 100]);
    view.publish(Update {
        puts: vec![(addr, Identity::address(addr), element)],
        ..Update::default()
    });
}

fn remove(view: &EndpointsView, last: u8) {
    let addr = addr(last);
    view.publish(Update {
        gone: vec![(addr, Identity::address(addr))],
        ..Update::default()
    });
}

fn told(view: &EndpointsView, slot: &Slot) -> Frames {
    match view.advance(slot) {
        Next::Frames(frames, _) => frames,
        Next::Replaced(_) => panic!("nothing replaced it"),
    }
}

/// Deltas, and endpoints that are gone.
fn past(view: &EndpointsView) -> (usize, usize) {
    let state = view.lock();
    (state.deltas.len(), state.tombstones.len())
}

#[test]
fn the_past_is_kept_until_the_last_stream_has_been_told_it() {
    let view = EndpointsView::new(History::default(), Arc::default());
    put(&view, 1);
    put(&view, 2);
    let (fast, slow, new) = (Slot::new(), Slot::new(), Slot::new());
    let _members = [&fast, &slow, &new].map(|slot| view.join(slot).unwrap());
    told(&view, &fast);
    told(&view, &slow);
    put(&view, 3);
    remove(&view, 1);
    told(&view, &fast);
    assert_eq!(past(&view), (3, 1));

    // One is two versions behind, and one has been told nothing yet.
    view.tidy();
    assert_eq!(past(&view), (2, 1));
    let frames = told(&view, &slow);
    assert_eq!(frames.len(), 2, "an Add and a Remove");

    view.tidy();
    assert_eq!(past(&view), (0, 0));
    assert_eq!(view.size().1, 0);
    assert_eq!(told(&view, &new).len(), 1, "everything there is");

    put(&view, 4);
    assert_eq!(told(&view, &slow).len(), 1, "the newest difference");
    assert_eq!(past(&view), (1, 0));
}

#[test]
fn a_view_without_streams_keeps_no_past() {
    let view = EndpointsView::new(History::default(), Arc::default());
    put(&view, 1);
    put(&view, 2);
    remove(&view, 1);
    view.tidy();
    assert_eq!(past(&view), (0, 0));
}
