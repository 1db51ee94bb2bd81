//! Every interleaving of a rotation with what goes on around it: workloads that start,
//! stop and ask for certificates, replicas and injectors that have not heard yet,
//! leaders that are killed or come too late, time, and people who change their mind.
//! Whatever has happened, every workload verifies every other.

use super::{
    End, Facts, Laggards, Next, Phase, Requests, Rotation, Seen, Waits, WaitsFor, first, next,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Time goes in ticks. A leaf lives for these ...
const LIFETIME: u8 = 2;
/// ... and so long a replica signs for as long without hearing of its issuer.
const UNCONFIRMED: u8 = 1;
const LEAVES_LAST: u8 = LIFETIME + UNCONFIRMED;
/// The longest that an injector goes on with a bundle that is not the published one.
const KUBELET: u8 = 2;

/// A set of anchors.
type Set = u8;
const OLD: Set = 1;
const NEW: Set = 2;
const BOTH: Set = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Leaf {
    /// Which anchors vouch for it.
    under: Set,
    left: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Pod {
    trusts: Set,
    leaf: Option<Leaf>,
}

/// A replica of the identity role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Replica {
    issuer: Set,
    /// Ticks since it heard.
    unheard: u8,
}

/// The trust anchor's Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Secret {
    /// None before the rotation and after it; then which anchor is left.
    rotation: Option<(Phase, Option<u8>)>,
    over: Option<Set>,
}

/// A write of one object, which fails if somebody else has written it meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Write {
    Secret(Secret),
    Bundle(Set),
    Issuer(Set),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    secret: Secret,
    bundle: Set,
    issuer: Set,
    replicas: [Replica; 2],
    pods: [Option<Pod>; 2],
    /// What the injector injects, and for how many ticks that was not what it should.
    injected: Set,
    stale: u8,
    /// What a leader wanted to write when it was deposed.
    late: Option<Write>,
    /// Whether somebody has put an issuer back that the old anchor alone had signed.
    restored: bool,
}

/// What people want, and how near its end the old anchor is: at any time it may be any of
/// these.
fn wishes() -> impl Iterator<Item = (Requests, End)> {
    let unless = [None, Some(Phase::Distributing)];
    let all = [false, true].into_iter().flat_map(move |abort| {
        let paused = [false, true].into_iter();
        paused.flat_map(move |paused| {
            unless.map(|unless_waiting_in| Requests {
                rotate: true,
                abort,
                paused,
                unless_waiting_in,
            })
        })
    });
    all.flat_map(|requests| [(requests.clone(), End::Far), (requests, End::Come)])
}

impl World {
    fn new() -> Self {
        let replica = Replica {
            issuer: OLD,
            unheard: 0,
        };
        Self {
            secret: Secret {
                rotation: None,
                over: None,
            },
            bundle: OLD,
            issuer: OLD,
            replicas: [replica; 2],
            pods: [None; 2],
            injected: OLD,
            stale: 0,
            late: None,
            restored: false,
        }
    }

    /// What does not make a difference is not told apart.
    fn canonical(mut self) -> Self {
        self.replicas.sort_unstable();
        self.pods.sort_unstable();
        self
    }

    /// Which anchors sign issuers.
    fn signers(&self) -> Set {
        match (self.secret.rotation, self.secret.over) {
            (Some((Phase::Distributing | Phase::Aborting, _)), _) | (None, None) => OLD,
            (Some((Phase::Switched, _)), _) => BOTH,
            (Some((Phase::Retiring, _)), _) => NEW,
            (None, Some(left)) => left,
        }
    }

    /// The writes one of which the leader does next, whatever it is asked for: as
    /// [`next`] decides, which [`super::super::plan`] does what it says of.
    fn next_writes(&self) -> Vec<Write> {
        let mut all = Vec::new();
        for (requests, end) in wishes() {
            if let Some(write) = self.next_write(&requests, end)
                && !all.contains(&write)
            {
                all.push(write);
            }
        }
        all
    }

    fn next_write(&self, requests: &Requests, end: End) -> Option<Write> {
        let secret = |rotation| {
            Some(Write::Secret(Secret {
                rotation: Some(rotation),
                over: None,
            }))
        };
        let Some((phase, since)) = self.secret.rotation else {
            return match self.secret.over {
                None => secret((first(end), None)),
                Some(_) => (self.issuer != self.signers()).then_some(Write::Issuer(self.signers())),
            };
        };
        let trusted = match phase {
            Phase::Distributing | Phase::Switched => BOTH,
            Phase::Retiring => NEW,
            Phase::Aborting => OLD,
        };
        let epoch = Timestamp::UNIX_EPOCH;
        let at = |ticks: u8| epoch + SignedDuration::from_secs(ticks.into());
        let now = at(since.unwrap_or(0));
        let rotation = Rotation {
            phase,
            started: epoch,
            since: since.map(|_| epoch),
            published: None,
            incoming: String::new(),
            outgoing: String::new(),
        };
        let seen = Seen {
            lacks: self.bundle | trusted != self.bundle,
            signed: self.issuer == self.signers(),
            spare: self.bundle != trusted,
        };
        let running = || self.pods.iter().flatten();
        let one = Waits::new(WaitsFor::Pods, "one");
        let laggards = if running().any(|pod| pod.trusts & NEW == 0) {
            Laggards::Some(&one)
        } else {
            Laggards::Gone
        };
        let facts = Facts {
            requests,
            leaves_last: Duration::from_secs(LEAVES_LAST.into()),
            laggards,
            end,
        };
        match next(&rotation, seen, &facts, now) {
            Next::Publish => Some(Write::Bundle(self.bundle | trusted)),
            Next::BeginAgain => secret((phase, None)),
            Next::Sign => Some(Write::Issuer(self.signers())),
            Next::Withdraw => Some(Write::Bundle(trusted)),
            Next::Begin => secret((phase, Some(0))),
            Next::Enter(phase) => secret((phase, None)),
            Next::End => Some(Write::Secret(Secret {
                rotation: None,
                over: Some(trusted),
            })),
            Next::Wait(_) => None,
            Next::Count => panic!("they are counted"),
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Secret(secret) => self.secret = secret,
            Write::Bundle(bundle) => self.bundle = bundle,
            Write::Issuer(issuer) => self.issuer = issuer,
        }
        // Of two who have read the same version, one writes.
        if self
            .late
            .is_some_and(|late| std::mem::discriminant(&late) == std::mem::discriminant(&write))
        {
            self.late = None;
        }
    }

    fn tick(&mut self) -> bool {
        if self.injected != self.bundle {
            if self.stale == KUBELET {
                return false;
            }
            self.stale += 1;
        }
        if let Some((_, Some(since))) = &mut self.secret.rotation {
            *since = (*since + 1).min(LEAVES_LAST);
        }
        for replica in &mut self.replicas {
            replica.unheard = (replica.unheard + 1).min(LEAVES_LAST);
        }
        for pod in self.pods.iter_mut().flatten() {
            pod.leaf = pod.leaf.and_then(|leaf| {
                (leaf.left > 1).then_some(Leaf {
                    left: leaf.left - 1,
                    ..leaf
                })
            });
        }
        true
    }

    /// Everything that can happen next, by name.
    fn events(&self) -> Vec<(String, World)> {
        let mut all = Vec::new();
        let mut happens = |name: &dyn Fn() -> String, event: &dyn Fn(&mut World) -> bool| {
            let mut world = self.clone();
            if event(&mut world) {
                all.push((name(), world.canonical()));
            }
        };
        happens(&|| "time goes on".into(), &World::tick);
        for write in self.next_writes() {
            happens(&|| format!("the leader writes {write:?}"), &|world| {
                world.write(write);
                true
            });
            happens(
                &|| format!("a leader is deposed before {write:?}"),
                &|world| world.late.replace(write).is_none(),
            );
        }
        if let Some(late) = self.late {
            happens(&|| format!("a deposed leader writes {late:?}"), &|world| {
                world.late = None;
                world.write(late);
                true
            });
            happens(&|| "a deposed leader is killed".into(), &|world| {
                world.late.take().is_some()
            });
        }
        happens(&|| "somebody restores the old issuer".into(), &|world| {
            let phase = world.secret.rotation.map(|(phase, _)| phase);
            let can = phase == Some(Phase::Switched) && world.late.is_none() && !world.restored;
            if can {
                (world.restored, world.issuer) = (true, OLD);
            }
            can
        });
        happens(&|| "the injector hears".into(), &|world| {
            world.stale = 0;
            std::mem::replace(&mut world.injected, world.bundle) != world.bundle
        });
        for at in 0..2 {
            happens(&|| format!("replica {at} hears"), &|world| {
                // An issuer of which nothing is trusted is not taken.
                if world.issuer & world.bundle == 0 {
                    return false;
                }
                world.replicas[at] = Replica {
                    issuer: world.issuer,
                    unheard: 0,
                };
                true
            });
            happens(&|| format!("pod {at} starts or stops"), &|world| {
                world.pods[at] = match world.pods[at] {
                    None => Some(Pod {
                        trusts: world.injected,
                        leaf: None,
                    }),
                    Some(_) => None,
                };
                true
            });
            for by in 0..2 {
                happens(&|| format!("pod {at} is certified by {by}"), &|world| {
                    let Replica { issuer, unheard } = world.replicas[by];
                    let left = LIFETIME.min(LEAVES_LAST.saturating_sub(unheard));
                    let Some(pod) = &mut world.pods[at] else {
                        return false;
                    };
                    // A proxy refuses a certificate that it does not verify itself.
                    if left == 0 || issuer & pod.trusts == 0 {
                        return false;
                    }
                    pod.leaf = Some(Leaf {
                        under: issuer,
                        left,
                    });
                    true
                });
            }
        }
        all
    }

    /// What must always hold.
    fn check(&self) -> Result<(), String> {
        let running = || self.pods.iter().flatten();
        for pod in running() {
            for peer in running() {
                if let Some(leaf) = peer.leaf
                    && leaf.under & pod.trusts == 0
                {
                    return Err(format!("{pod:?} does not verify {leaf:?}"));
                }
            }
            let mut heard = self.replicas.iter().filter(|replica| replica.unheard == 0);
            if heard
                .any(|replica| replica.issuer == self.issuer && replica.issuer & pod.trusts == 0)
            {
                return Err(format!("{pod:?} cannot take the certificates that it gets"));
            }
        }
        Ok(())
    }
}

#[test]
fn whatever_happens_every_workload_verifies_every_other_and_the_rotation_can_end() {
    let first = World::new();
    let mut found: HashMap<World, usize> = [(first.clone(), 0)].into();
    // Of each world, in the order they were found: how it came about, and what follows.
    let mut before: Vec<(usize, String)> = vec![(0, String::new())];
    let mut after: Vec<Vec<u32>> = Vec::new();
    let mut over = Vec::new();
    let mut waiting = VecDeque::from([first]);
    let story = |before: &[(usize, String)], mut at: usize| {
        let mut told = Vec::new();
        while at != 0 {
            told.push(before[at].1.clone());
            at = before[at].0;
        }
        told.reverse();
        told.join("\n")
    };
    while let Some(world) = waiting.pop_front() {
        let at = found[&world];
        if let Err(problem) = world.check() {
            panic!("{problem}\n{world:?}\n{}", story(&before, at));
        }
        if world.secret.over.is_some() {
            over.push(at);
        }
        let mut then = Vec::new();
        for (name, next) in world.events() {
            let new = before.len();
            let id = *found.entry(next.clone()).or_insert(new);
            if id == new {
                before.push((at, name));
                waiting.push_back(next);
            }
            then.push(u32::try_from(id).unwrap());
        }
        after.push(then);
    }
    println!("{} worlds", after.len());
    // From each of them there is a way to the end.
    let mut leads: Vec<Vec<u32>> = vec![Vec::new(); after.len()];
    for (at, then) in after.iter().enumerate() {
        for &id in then {
            leads[id as usize].push(u32::try_from(at).unwrap());
        }
    }
    let mut ends = vec![false; after.len()];
    let mut open = over;
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut ends[at], true) {
            open.extend(leads[at].iter().map(|&id| id as usize));
        }
    }
    if let Some(stuck) = ends.iter().position(|ends| !ends) {
        panic!("it never ends:\n{}", story(&before, stuck));
    }
}
