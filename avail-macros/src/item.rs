//! The function that an attribute stands on. Only its signature is parsed: the body stays the tokens
//! that they were, so that the compiler reports what is wrong in it as it always does.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::quote;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Result, Signature, Token, Visibility};

pub(crate) struct Function {
    /// Everything before the body, as written.
    head: TokenStream,
    /// Attributes at the start of the body, which are allowed nowhere else in an expression.
    inner_attributes: Vec<Attribute>,
    pub(crate) sig: Signature,
    body: Group,
}

impl Function {
    /// `attribute` names the attribute, for errors.
    pub(crate) fn parse(item: TokenStream, attribute: &str) -> Result<Self> {
        let parsed = Parser::parse2(Head::parse_and_rest, item.clone());
        let Head { sig, .. } = parsed.map_err(|error| not_a_function(&item, attribute, error))?;
        if let Some(constness) = &sig.constness {
            let problem = format!(
                "`#[{attribute}]` can't go on a `const fn`: what it does is done at run time"
            );
            return Err(Error::new(constness.span, problem));
        }
        let mut head: Vec<TokenTree> = item.into_iter().collect();
        let last = head.pop();
        let Some(body) = last.as_ref().and_then(braces) else {
            let problem = format!(
                "`#[{attribute}]` needs a function with a body: put it on the function in the \
                 trait's implementation"
            );
            return Err(Error::new(sig.ident.span(), problem));
        };
        let (inner_attributes, body) = split_inner_attributes(body)?;
        Ok(Function { head: head.into_iter().collect(), inner_attributes, sig, body })
    }

    /// The body as a block, in braces that stand where the user's do and are the macro's own, so
    /// that lints about needless blocks keep quiet.
    pub(crate) fn body(&self) -> Group {
        let mut block = self.body.clone();
        block.set_span(Span::mixed_site().located_at(self.body.span()));
        block
    }

    /// The function with another body.
    pub(crate) fn with_body(&self, statements: &TokenStream) -> TokenStream {
        let Function { head, inner_attributes, .. } = self;
        let outer = inner_attributes.iter().map(|Attribute { meta, .. }| quote!(#[#meta]));
        let mut block = Group::new(Delimiter::Brace, statements.clone());
        block.set_span(self.body.span());
        quote!(#(#outer)* #head #block)
    }

    /// Its name, without `r#`.
    pub(crate) fn name(&self) -> String {
        let name = self.sig.ident.to_string();
        name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
    }
}

/// What stands before a function's body.
pub(crate) struct Head {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) sig: Signature,
}

impl Head {
    fn parse_and_rest(input: ParseStream<'_>) -> Result<Self> {
        let head = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok(head)
    }
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        if input.peek(Token![default]) {
            input.parse::<Token![default]>()?;
        }
        Ok(Head { attributes, sig: input.parse()? })
    }
}

/// The body. One that went through `macro_rules!` as a `$body:block` stands in a group without
/// delimiters.
fn braces(token: &TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    match group.delimiter() {
        Delimiter::Brace => Some(group.clone()),
        Delimiter::None => braces(&group.stream().into_iter().next()?),
        Delimiter::Parenthesis | Delimiter::Bracket => None,
    }
}

fn split_inner_attributes(body: Group) -> Result<(Vec<Attribute>, Group)> {
    let starts_with_one = {
        let mut tokens = body.stream().into_iter();
        is_punct(tokens.next(), '#') && is_punct(tokens.next(), '!')
    };
    if !starts_with_one {
        return Ok((Vec::new(), body));
    }
    let split = |input: ParseStream<'_>| {
        Ok((input.call(Attribute::parse_inner)?, input.parse::<TokenStream>()?))
    };
    let (attributes, rest) = Parser::parse2(split, body.stream())?;
    let mut without = Group::new(Delimiter::Brace, rest);
    without.set_span(body.span());
    Ok((attributes, without))
}

fn is_punct(token: Option<TokenTree>, expected: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == expected)
}

/// What is wrong with an item whose head is not that of a function.
fn not_a_function(item: &TokenStream, attribute: &str, error: Error) -> Error {
    const KEYWORDS: [&str; 12] = [
        "fn",
        "struct",
        "enum",
        "union",
        "impl",
        "trait",
        "mod",
        "static",
        "type",
        "use",
        "const",
        "macro_rules",
    ];
    let keyword = item.clone().into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) if KEYWORDS.contains(&&*ident.to_string()) => Some(ident),
        _ => None,
    });
    match keyword {
        Some(keyword) if keyword != "fn" => {
            let block = if attribute == "circuit_breaker" { " or an `impl` block" } else { "" };
            let problem = format!("`#[{attribute}]` goes on a function{block}, not on `{keyword}`");
            Error::new(keyword.span(), problem)
        }
        _ => error,
    }
}
