use yasna::{Tag, models::ObjectIdentifier, models::TaggedDerValue, tags::TAG_UTF8STRING};

pub(crate) const CN: &[u64] = &[2, 5, 4, 3];
pub(crate) const O: &[u64] = &[2, 5, 4, 10];
/// domainComponent, which a name usually has several of.
pub(crate) const DC: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 25];

/// The DER of a name with these attributes in this order. What rcgen has for this
/// is a map.
pub(crate) fn name(attributes: &[(&[u64], &str)]) -> Vec<u8> {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(kind, text)| (*kind, TAG_UTF8STRING, text.as_bytes()))
        .collect();
    name_of(&attributes)
}

/// The same with values of any type.
pub(crate) fn name_of(attributes: &[(&[u64], Tag, &[u8])]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|names| {
            for (kind, tag, value) in attributes {
                names.next().write_set(|set| {
                    set.next().write_sequence(|attribute| {
                        attribute
                            .next()
                            .write_oid(&ObjectIdentifier::from_slice(kind));
                        let value = TaggedDerValue::from_tag_and_bytes(*tag, value.to_vec());
                        attribute.next().write_tagged_der(&value);
                    });
                });
            }
        });
    })
}
