use std::str::FromStr;
use thiserror::Error;

/// An amount as Kubernetes writes it: `1`, `500m`, `1.5`, `2k`, `1e3`, `1Ki`.
/// Kept in thousandths, rounded up, and at most `i64::MAX` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    thousandths: i64,
}

/// A text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a quantity such as 1 or 500m")]
pub struct QuantityError;

impl Quantity {
    /// The amount in thousandths.
    pub const fn thousandths(self) -> i64 {
        self.thousandths
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError);
        }
        let factor = Factor::of(suffix).ok_or(QuantityError)?;
        // More digits than a u128 holds are more than the largest amount, or
        // fractions of the smallest.
        let fraction = &fraction[..fraction.len().min(15)];
        let digits: u128 = [whole, fraction].concat().parse().unwrap_or(u128::MAX);
        let exponent = factor.ten + 3 - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
        let scale = |n: i32| 10_u128.saturating_pow(n.unsigned_abs());
        let scaled = digits.saturating_mul(1 << factor.two);
        let thousandths = if exponent < 0 {
            scaled.div_ceil(scale(exponent))
        } else {
            scaled.saturating_mul(scale(exponent))
        };
        let thousandths = i64::try_from(thousandths).unwrap_or(i64::MAX);
        Ok(Self {
            thousandths: if negative { -thousandths } else { thousandths },
        })
    }
}

/// Powers of ten and of two.
struct Factor {
    ten: i32,
    two: u32,
}

impl Factor {
    fn of(suffix: &str) -> Option<Self> {
        let decimal = |ten| Some(Self { ten, two: 0 });
        let binary = |two| Some(Self { ten: 0, two });
        match suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            exponent => {
                let digits = exponent.strip_prefix(['e', 'E'])?;
                let ten: i16 = digits.parse().ok()?;
                decimal(ten.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_thousandths() {
        for (text, thousandths) in [
            ("0", 0),
            ("1", 1_000),
            ("500m", 500),
            ("1.5", 1_500),
            (".5", 500),
            ("5.", 5_000),
            ("+1", 1_000),
            ("-1", -1_000),
            ("2k", 2_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1E-2", 10),
            ("1u", 1),
            ("1500u", 2),
            ("0.0001", 1),
            ("9E", i64::MAX),
            ("99999999999999999999999999999999999999999999", i64::MAX),
            ("1e30000", i64::MAX),
        ] {
            let parsed = text.parse::<Quantity>();
            assert_eq!(parsed.map(Quantity::thousandths), Ok(thousandths), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", "-", ".", "m", "1.2.3", "1x", "1 ", "1mm", "1e", "1e1.5", "0x1", "1ki", "--1",
            "1e99999",
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError), "{text}");
        }
    }
}
