//! A policy on a page.

use crate::output;
use std::collections::BTreeMap;

/// What a cell shows that has nothing to say.
const NOTHING: &str = "-";

/// A policy for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// What holds for all of it, by name.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// What there is a list of.
    pub(crate) sections: Vec<Section>,
}

/// A list of things of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The names of the columns; the first is what a row is.
    pub(crate) columns: &'static [&'static str],
    /// As many cells each as there are columns, first the name; empty cells have
    /// nothing to say.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Sheet {
    /// The sheet as a text of several lines, under `heading`.
    pub(crate) fn text(&self, heading: &[(&'static str, String)]) -> String {
        let facts = heading.iter().chain(&self.facts);
        let facts = facts.map(|(name, value)| [(*name).to_owned(), value.clone()]);
        let mut parts = vec![output::table(None, facts)];
        let sections = self.sections.iter();
        parts.extend(
            sections
                .filter(|section| !section.rows.is_empty())
                .map(Section::text),
        );
        parts.join("\n\n")
    }

    /// A line for each thing that is not the same in both, and its sign: `-` for
    /// what is gone, `+` for what is new, `~` for what changed.
    pub(crate) fn differences(&self, before: &Self) -> Vec<(char, String)> {
        let (was, is) = (before.lines(), self.lines());
        let gone = was.keys().filter(|name| !is.contains_key(*name));
        let mut lines: Vec<_> = gone.map(|name| ('-', name.clone())).collect();
        for (name, now) in &is {
            match was.get(name) {
                None => lines.push(('+', format!("{name}: {now}"))),
                Some(then) if then != now => lines.push(('~', format!("{name}: {then} -> {now}"))),
                Some(_) => {}
            }
        }
        lines
    }

    /// Each thing's name and the rest of it. Of those with the same name, the
    /// further ones are numbered.
    fn lines(&self) -> BTreeMap<String, String> {
        let mut lines: BTreeMap<_, _> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        for section in &self.sections {
            let mut count = BTreeMap::new();
            for row in &section.rows {
                let (name, line) = section.line(row);
                let count = count.entry(name.clone()).or_insert(0);
                *count += 1;
                let name = match *count {
                    1 => name,
                    count => format!("{name} #{count}"),
                };
                lines.insert(name, line);
            }
        }
        lines
    }
}

impl Section {
    /// Without the columns in which no row says anything.
    fn text(&self) -> String {
        let said: Vec<_> = (0..self.columns.len())
            .filter(|&column| self.rows.iter().any(|row| !row[column].is_empty()))
            .collect();
        let header: Vec<_> = said.iter().map(|&column| self.columns[column]).collect();
        let rows = self.rows.iter().map(|row| {
            let cells = said.iter().map(|&column| match &*row[column] {
                "" => NOTHING.to_owned(),
                cell => cell.to_owned(),
            });
            cells.collect::<Vec<_>>()
        });
        output::table(Some(&header), rows)
    }

    /// `route default` and `matches any, backends 10.0.0.1:80`.
    fn line(&self, row: &[String]) -> (String, String) {
        let mut cells = self.columns.iter().zip(row);
        let name = cells
            .next()
            .map(|(column, cell)| format!("{} {cell}", column.to_lowercase()));
        let said = cells.filter(|(_, cell)| !cell.is_empty());
        let rest: Vec<_> = said
            .map(|(column, cell)| format!("{} {cell}", column.to_lowercase()))
            .collect();
        (name.unwrap_or_default(), rest.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["ROUTE", "HOSTS", "MATCHES"];

    fn sheet(protocol: &str, rows: &[[&str; 3]]) -> Sheet {
        Sheet {
            facts: vec![("protocol", protocol.into())],
            sections: vec![Section {
                columns: COLUMNS,
                rows: rows
                    .iter()
                    .map(|row| row.iter().map(|&cell| cell.into()).collect())
                    .collect(),
            }],
        }
    }

    #[test]
    fn columns_without_anything_are_left_out() {
        let text = sheet("HTTP/1", &[["default", "", "any"], ["probe", "", ""]])
            .text(&[("target", "pod/web-0.shop:80".into())]);
        assert_eq!(
            text,
            "target     pod/web-0.shop:80\n\
             protocol   HTTP/1\n\
             \n\
             ROUTE     MATCHES\n\
             default   any\n\
             probe     -"
        );
        assert_eq!(sheet("opaque", &[]).text(&[]), "protocol   opaque");
    }

    #[test]
    fn a_difference_is_one_line() {
        let before = sheet(
            "HTTP/1",
            &[
                ["a", "", "path /a"],
                ["a", "", "path /b"],
                ["b", "x.org", "any"],
            ],
        );
        let after = sheet(
            "HTTP/2",
            &[
                ["a", "", "path /a"],
                ["a", "", "path /c"],
                ["c", "x.org", "any"],
            ],
        );
        assert_eq!(
            after.differences(&before),
            [
                ('-', "route b"),
                ('~', "protocol: HTTP/1 -> HTTP/2"),
                ('~', "route a #2: matches path /b -> matches path /c"),
                ('+', "route c: hosts x.org, matches any"),
            ]
            .map(|(sign, line)| (sign, line.to_owned()))
        );
        assert_eq!(after.differences(&after), []);
    }
}
