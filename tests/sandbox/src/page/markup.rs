//! Markup that cannot come out broken: a tree of elements, escaped while it is written.
//!
//! What is written is both HTML and well-formed XML, so that the same elements serve the page and
//! a picture of its own.

use std::fmt::{self, Display, Write};

/// Elements of HTML and SVG that never have content. In all others the end has a tag.
const EMPTY: [&str; 7] = ["circle", "line", "meta", "path", "polygon", "rect", "use"];

/// An element with its attributes and all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
    Css(&'static str),
}

impl Element {
    /// An element with nothing in it.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), content: Vec::new() }
    }

    /// An element of a class.
    pub(crate) fn of(name: &'static str, class: &str) -> Self {
        Self::new(name).with("class", class)
    }

    /// A style sheet. It is written as it is, hence never made of anything from outside.
    pub(crate) fn style(css: &[&'static str]) -> Self {
        let content = css.iter().map(|css| Node::Css(css)).collect();
        Self { content, ..Self::new("style") }
    }

    /// With one more attribute.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With a text at its end.
    pub(crate) fn text(mut self, text: impl Display) -> Self {
        self.content.push(Node::Text(text.to_string()));
        self
    }

    /// With an element at its end.
    pub(crate) fn holds(mut self, element: Self) -> Self {
        self.content.push(Node::Element(element));
        self
    }

    /// With elements at its end.
    pub(crate) fn holds_all(mut self, elements: impl IntoIterator<Item = Self>) -> Self {
        self.content.extend(elements.into_iter().map(Node::Element));
        self
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        write!(f, "<{name}")?;
        for (attribute, value) in &self.attributes {
            write!(f, " {attribute}=\"")?;
            escape(value, f)?;
            f.write_char('"')?;
        }
        if EMPTY.contains(&name) {
            return f.write_str("/>");
        }
        f.write_char('>')?;
        // Elements stand on lines of their own where no text could be changed by that.
        let in_lines = self.content.iter().all(|node| matches!(node, Node::Element(_)));
        let end_of_line = if in_lines && !self.content.is_empty() { "\n" } else { "" };
        f.write_str(end_of_line)?;
        for node in &self.content {
            match node {
                Node::Element(element) => write!(f, "{element}{end_of_line}")?,
                Node::Text(text) => escape(text, f)?,
                Node::Css(css) => f.write_str(css)?,
            }
        }
        write!(f, "</{name}>")
    }
}

/// A length or a place, to a tenth of a unit.
pub(crate) fn units(number: f64) -> String {
    let tenths = format!("{number:.1}");
    let short = tenths.strip_suffix(".0").unwrap_or(&tenths);
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// Writes what nobody takes for markup. Characters that XML does not know are replaced.
fn escape(text: &str, out: &mut impl Write) -> fmt::Result {
    for char in text.chars() {
        match char {
            '&' => out.write_str("&amp;")?,
            '<' => out.write_str("&lt;")?,
            '>' => out.write_str("&gt;")?,
            '"' => out.write_str("&quot;")?,
            '\'' => out.write_str("&#39;")?,
            '\n' => out.write_char('\n')?,
            '\u{fffe}' | '\u{ffff}' => out.write_char('\u{fffd}')?,
            control if control.is_control() => out.write_char('\u{fffd}')?,
            char => out.write_char(char)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_attributes_are_never_markup() {
        let hostile = "</td><script>alert('x')</script>&amp;\"\0\u{1b}\u{ffff}";
        let escaped = "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;&quot;\
                       \u{fffd}\u{fffd}\u{fffd}";
        let element = Element::new("td").with("title", hostile).text(hostile);
        assert_eq!(element.to_string(), format!("<td title=\"{escaped}\">{escaped}</td>"));
    }

    #[test]
    fn only_elements_without_content_go_without_an_end_tag() {
        assert_eq!(Element::new("td").to_string(), "<td></td>");
        let line = Element::new("line").with("x1", units(0.25)).with("x2", units(-0.04));
        assert_eq!(line.to_string(), "<line x1=\"0.2\" x2=\"0\"/>");
    }

    #[test]
    fn texts_keep_the_spaces_that_they_have() {
        let two = Element::new("p").text("a ").holds(Element::new("b").text("b"));
        assert_eq!(two.to_string(), "<p>a <b>b</b></p>");
        let list = Element::new("ul").holds(Element::new("li").text("a"));
        assert_eq!(list.to_string(), "<ul>\n<li>a</li>\n</ul>");
    }
}
