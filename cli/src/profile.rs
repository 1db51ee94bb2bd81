//! `ferrule diagnostics profile`.

use crate::{
    Error,
    api::Api,
    diagnostics::Ask,
    endpoint_set::differences,
    error::Refusal,
    follow::{Event, follow},
    hint::Asked,
    output::{self, Format},
    profile_fields::{NOTHING, fields, object},
};
use ferrule_proto::destination::DestinationProfile;
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::time::Instant;

/// How long a first profile is waited for. Some pods have none to tell.
const FIRST_MESSAGE: Duration = Duration::from_secs(5);

/// One authority's stream and what it told last.
#[derive(Default)]
struct Followed {
    told: Option<DestinationProfile>,
    refusal: Option<Refusal>,
    /// The loss of the stream has been announced.
    lost: bool,
}

pub(crate) async fn run(ask: Ask) -> Result<(), Error> {
    let api = Api::connect(&ask.server.api_addr).await?;
    let mut events = follow(ask.questions(), ask.watch, move |question| {
        api.clone().get_profile(question)
    });
    let mut followed: Vec<Followed> = ask
        .authorities
        .iter()
        .map(|_| Followed::default())
        .collect();
    let deadline = Instant::now() + FIRST_MESSAGE;
    while followed
        .iter()
        .any(|one| one.told.is_none() && one.refusal.is_none())
        || ask.watch
    {
        let event = if ask.watch {
            events.recv().await
        } else {
            // Past it, whoever is silent has nothing to tell.
            tokio::time::timeout_at(deadline, events.recv())
                .await
                .unwrap_or_default()
        };
        let Some((index, event)) = event else { break };
        let authority = &ask.authorities[index];
        followed[index].on(event, &ask, authority)?;
    }
    if !ask.watch {
        print_profiles(&ask, &followed)?;
    }
    let refusals: Vec<_> = followed.into_iter().filter_map(|one| one.refusal).collect();
    if refusals.is_empty() {
        Ok(())
    } else {
        Err(Error::Refused(refusals))
    }
}

impl Followed {
    fn on(
        &mut self,
        event: Event<DestinationProfile>,
        ask: &Ask,
        authority: &str,
    ) -> io::Result<()> {
        match event {
            Event::Opened => {
                if std::mem::take(&mut self.lost) {
                    ask.announcer().back(authority)?;
                }
            }
            Event::Message(profile) => {
                if ask.watch {
                    print_change(ask, authority, self.told.as_ref(), &profile)?;
                }
                self.told = Some(profile);
            }
            Event::Lost { status, retried } => {
                let refusal =
                    Refusal::new(authority, Asked::Destination, &status, &ask.server.api_addr);
                if !retried {
                    // A profile that was told is an answer, however the stream ends.
                    if ask.watch || self.told.is_none() {
                        ask.announce_refusal(&refusal);
                        self.refusal = Some(refusal);
                    }
                } else if !std::mem::replace(&mut self.lost, true) {
                    ask.announcer().lost(&refusal)?;
                }
            }
        }
        Ok(())
    }
}

fn print_profiles(ask: &Ask, followed: &[Followed]) -> io::Result<()> {
    let pairs = || ask.authorities.iter().zip(followed);
    for (authority, _) in pairs().filter(|(_, one)| one.told.is_none() && one.refusal.is_none()) {
        output::note(&format!("{authority}: nothing was told"));
    }
    let told = pairs().filter_map(|(authority, one)| Some((authority, one.told.as_ref()?)));
    if ask.output == Format::Json {
        let all: Vec<_> = told
            .map(|(authority, profile)| object(authority, profile))
            .collect();
        return output::print_json(&all);
    }
    let tables: Vec<_> = told
        .map(|(authority, profile)| table(authority, profile))
        .collect();
    if tables.is_empty() {
        Ok(())
    } else {
        output::print(&tables.join("\n\n"))
    }
}

fn print_change(
    ask: &Ask,
    authority: &str,
    before: Option<&DestinationProfile>,
    after: &DestinationProfile,
) -> io::Result<()> {
    if ask.output == Format::Json {
        let mut event = json!({"time": output::timestamp(), "event": "profile"});
        if let (Some(event), Value::Object(object)) =
            (event.as_object_mut(), object(authority, after))
        {
            event.extend(object);
        }
        return output::print_json_line(&event);
    }
    let Some(before) = before else {
        return output::print(&table(authority, after));
    };
    let differences = differences(&fields(before), &fields(after));
    for (field, before, after) in differences {
        output::print(&format!(
            "{} ~ {authority}  {field}: {before} -> {after}",
            output::clock()
        ))?;
    }
    Ok(())
}

/// What the profile says; fields that say nothing are left out.
fn table(authority: &str, profile: &DestinationProfile) -> String {
    let mut rows = vec![["authority".to_owned(), authority.to_owned()]];
    let fields = fields(profile).into_iter();
    rows.extend(
        fields
            .filter(|(_, value)| value != NOTHING)
            .map(|(field, value)| [field.to_owned(), value]),
    );
    if *profile == DestinationProfile::default() {
        rows.push([
            "note".into(),
            "empty: the Service does not declare this port".into(),
        ]);
    }
    output::table(None, rows)
}
