//! Several identity replicas go through a rotation, and their leaders are killed.

use crate::{
    door::{Door, End},
    mesh::{Mesh, Traffic},
    rotation::{SHORT, annotate, certificates, rotate, told, until_over, until_phase},
};
use anyhow::Result;
use ferrule_test_cluster::eventually;
use ferrule_tests::{Ferrule, Relay, TestProxy};
use futures::future::try_join_all;
use serde_json::json;

/// Replicas, and as many addresses, each of which leads to one that lives.
struct Replicas<'a> {
    mesh: &'a Mesh,
    all: Vec<Ferrule>,
    doors: Vec<Relay>,
}

impl<'a> Replicas<'a> {
    /// Certificates last longer than it takes to start a replica on a busy machine.
    const FLAGS: [&'static str; 2] = [SHORT, "--identity-issuance-lifetime=30s"];

    async fn start(mesh: &'a Mesh, count: usize) -> Result<Self> {
        let all = (0..count).map(|_| mesh.identity(&Self::FLAGS));
        let all = try_join_all(all).await?;
        let mut doors = Vec::new();
        for one in &all {
            one.ready().await?;
            doors.push(Relay::to(one.address_of("identity").await?).await?);
        }
        Ok(Self { mesh, all, doors })
    }

    /// A proxy that is certified at the first address.
    async fn proxy(&self, anchors: &str) -> Result<TestProxy> {
        self.mesh.proxy_at(self.doors[0].addr(), anchors).await
    }

    /// One at each.
    async fn proxies(&self, anchors: &str) -> Result<Vec<TestProxy>> {
        let doors = self.doors.iter();
        try_join_all(doors.map(|door| self.mesh.proxy_at(door.addr(), anchors))).await
    }

    /// Kills who leads.
    async fn kill_the_leader(&mut self) -> Result<()> {
        let at = eventually("a leader", async || {
            for (at, one) in self.all.iter().enumerate() {
                if one.metric("leader{lease=\"ferrule-ca\"}").await? == Some(1.0) {
                    return Ok(Some(at));
                }
            }
            Ok(None)
        })
        .await?;
        self.all.remove(at).kill().await?;
        for (door, one) in self.doors.iter().zip(self.all.iter().cycle()) {
            door.point_to(one.address_of("identity").await?);
        }
        Ok(())
    }

    /// Kills who leads, and starts another.
    async fn replace_the_leader(&mut self) -> Result<()> {
        self.kill_the_leader().await?;
        let another = self.mesh.identity(&Self::FLAGS).await?;
        another.ready().await?;
        self.all.push(another);
        Ok(())
    }
}

#[tokio::test]
async fn the_leader_is_killed_in_each_phase_that_waits() -> Result<()> {
    let mesh = Mesh::new("rotation-killed").await?;
    let mut replicas = Replicas::start(&mesh, 2).await?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    let of_old = Traffic::begin(vec![replicas.proxy(&old).await?]);
    rotate(&mesh).await?;
    until_phase(&mesh, "distributing").await?;
    replicas.replace_the_leader().await?;
    let both = mesh.anchors().await?;
    let traffic = Traffic::begin(vec![
        replicas.proxy(&both).await?,
        replicas.proxy(&both).await?,
    ]);
    traffic.meets(&replicas.proxy(&old).await?).await?;
    of_old.end().await?;
    mesh.gone("old").await?;
    until_phase(&mesh, "switched").await?;
    replicas.replace_the_leader().await?;
    traffic.meets(&replicas.proxy(&both).await?).await?;
    let new = until_over(&mesh).await?;
    assert_eq!(certificates(&new), 1);
    traffic.meets(&replicas.proxy(&new).await?).await?;
    traffic.is_under(&mesh.issuer("crt.pem").await?).await?;
    traffic.end().await?;
    Ok(())
}

/// Those end at once, so who leads is killed by the write that begins them.
#[tokio::test]
async fn the_leader_is_killed_on_the_way_back_and_where_there_is_none() -> Result<()> {
    let mesh = Mesh::new("rotation-killed-late").await?;
    let mut last = mesh.identity(&Replicas::FLAGS).await?;
    last.ready().await?;
    let old = mesh.anchors().await?;
    let way = Relay::to(last.address_of("identity").await?).await?;
    let proxy = async |anchors: &str| mesh.proxy_at(way.addr(), anchors).await;
    let mut of_old = Some(Traffic::begin(vec![proxy(&old).await?]));
    for phase in ["aborting", "retiring"] {
        last.terminate()?;
        last.ended().await?;
        let door = Door::open(&mesh.client, mesh.folder.path(), End::Entering(phase)).await?;
        let leader = mesh
            .identity_as(door.kubeconfig(), &Replicas::FLAGS)
            .await?;
        leader.ready().await?;
        way.point_to(leader.address_of("identity").await?);
        rotate(&mesh).await?;
        until_phase(&mesh, "switched").await?;
        let both = mesh.anchors().await?;
        let of_both = Traffic::begin(vec![proxy(&both).await?, proxy(&both).await?]);
        if phase == "aborting" {
            annotate(&mesh, "ferrule.io/abort-rotation", json!("now")).await?;
        } else if let Some(of_old) = of_old.take() {
            of_old.end().await?;
        }
        door.shut().await;
        leader.kill().await?;
        assert_eq!(told(&mesh).await?.phase.as_deref(), Some(phase));

        last = mesh.identity(&Replicas::FLAGS).await?;
        last.ready().await?;
        way.point_to(last.address_of("identity").await?);
        let left = until_over(&mesh).await?;
        assert_eq!(certificates(&left), 1);
        assert_eq!(left == old, phase == "aborting");
        let issuer = mesh.issuer("crt.pem").await?;
        assert_eq!(certificates(&issuer), 1);
        of_both.is_under(&issuer).await?;
        let newcomer = proxy(&left).await?;
        of_both.meets(&newcomer).await?;
        if let Some(of_old) = &of_old {
            of_old.is_under(&issuer).await?;
            of_old.meets(&newcomer).await?;
        }
        of_both.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_last_of_three_ends_what_the_first_began_while_workloads_of_all_three_talk()
-> Result<()> {
    let mesh = Mesh::new("rotation-three").await?;
    let mut replicas = Replicas::start(&mesh, 3).await?;
    let old = mesh.anchors().await?;
    mesh.pod("old", &old).await?;
    let of_old = Traffic::begin(replicas.proxies(&old).await?);
    rotate(&mesh).await?;
    until_phase(&mesh, "distributing").await?;
    let both = mesh.anchors().await?;
    assert_eq!(certificates(&both), 2);
    mesh.pod("both", &both).await?;
    let of_both = Traffic::begin(replicas.proxies(&both).await?);

    replicas.kill_the_leader().await?;
    let meet = async |anchors: &str| -> Result<()> {
        for newcomer in replicas.proxies(anchors).await? {
            of_old.meets(&newcomer).await?;
            of_both.meets(&newcomer).await?;
        }
        Ok(())
    };
    meet(&both).await?;
    annotate(&mesh, "ferrule.io/rotation-override", json!("distributing")).await?;
    until_phase(&mesh, "switched").await?;
    let issuer = mesh.issuer("crt.pem").await?;
    assert_eq!(certificates(&issuer), 2);
    of_old.is_under(&issuer).await?;
    of_both.is_under(&issuer).await?;
    meet(&old).await?;

    replicas.kill_the_leader().await?;
    assert_eq!(replicas.all.len(), 1);
    let late = replicas.proxies(&both).await?;
    for late in &late {
        of_old.meets(late).await?;
        of_both.meets(late).await?;
    }
    of_old.end().await?;
    mesh.gone("old").await?;
    let new = until_over(&mesh).await?;
    assert_eq!(certificates(&new), 1);
    of_both.is_under(&mesh.issuer("crt.pem").await?).await?;
    for young in replicas.proxies(&new).await? {
        of_both.meets(&young).await?;
    }
    of_both.end().await?;
    Ok(())
}
