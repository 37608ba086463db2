//! The `impl` block that an attribute stands on. Its methods' bodies are not parsed, no more than a
//! function's: see `item`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::buffer::Cursor;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Error, ItemImpl, Result, Token, Type};

use crate::item::Head;

pub(crate) struct Block {
    /// Everything before the braces, as written.
    head: TokenStream,
    braces: Group,
    /// The name of the type, without its generics.
    pub(crate) type_name: String,
    pub(crate) members: Vec<Member>,
}

/// What stands in an `impl` block.
pub(crate) struct Member {
    /// As written, without the attribute `#[avail(…)]`.
    pub(crate) tokens: TokenStream,
    pub(crate) method: Option<Head>,
    /// What `#[avail(…)]` says.
    pub(crate) notes: Vec<Attribute>,
}

impl Block {
    /// Whether it is one, by its first keyword.
    pub(crate) fn is_one(item: &TokenStream) -> bool {
        let mut tokens = item.clone().into_iter();
        let keyword = tokens.find_map(|token| match token {
            TokenTree::Ident(ident) if ["unsafe", "default"].iter().all(|word| ident != word) => {
                Some(ident)
            }
            _ => None,
        });
        keyword.is_some_and(|keyword| keyword == "impl")
    }

    pub(crate) fn parse(item: TokenStream) -> Result<Self> {
        let mut head: Vec<TokenTree> = item.clone().into_iter().collect();
        let Some(TokenTree::Group(braces)) = head.pop().filter(is_braced) else {
            return Err(Error::new_spanned(item, "expected an `impl` block"));
        };
        let head: TokenStream = head.into_iter().collect();
        let mut bodiless = head.clone();
        bodiless.extend([TokenTree::from(Group::new(Delimiter::Brace, TokenStream::new()))]);
        let parsed: ItemImpl = syn::parse2(bodiless)?;
        let type_name = type_name(&parsed.self_ty);
        let members = Parser::parse2(Member::parse_all, braces.stream())?;
        Ok(Block { head, braces, type_name, members })
    }

    /// The block with these members.
    pub(crate) fn with_members(&self, members: TokenStream) -> TokenStream {
        let mut braces = Group::new(Delimiter::Brace, members);
        braces.set_span(self.braces.span());
        let mut block = self.head.clone();
        block.extend([TokenTree::from(braces)]);
        block
    }

    /// The block as written, without what only the attribute understands.
    pub(crate) fn plain(&self) -> TokenStream {
        let members = self.members.iter().map(|member| member.tokens.clone());
        self.with_members(members.collect())
    }
}

impl Member {
    fn parse_all(input: ParseStream<'_>) -> Result<Vec<Self>> {
        let mut members = Vec::new();
        while !input.is_empty() {
            members.push(Member::parse(input)?);
        }
        Ok(members)
    }

    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.fork().call(Attribute::parse_outer).unwrap_or_default();
        let mut tokens = TokenStream::new();
        if !attributes.is_empty() {
            input.call(Attribute::parse_outer)?;
        }
        let is_note = |attribute: &Attribute| attribute.path().is_ident("avail");
        let (notes, kept): (Vec<_>, Vec<_>) = attributes.into_iter().partition(is_note);
        kept.iter().for_each(|attribute| attribute.to_tokens(&mut tokens));
        let (start, ahead) = (input.cursor(), input.fork());
        let method = ahead.parse::<Head>().ok();
        if method.is_some() {
            skip_to(input, ahead.cursor());
            tokens.extend(between(start, input.cursor()));
            tokens.extend(input.parse::<TokenTree>().ok());
        } else {
            take_item(input, &mut tokens);
        }
        let method = method.map(|mut head| {
            head.attributes = kept;
            head
        });
        Ok(Member { tokens, method, notes })
    }
}

fn skip_to(input: ParseStream<'_>, end: Cursor<'_>) {
    while !input.is_empty() && input.cursor() != end {
        let _skipped = input.parse::<TokenTree>();
    }
}

fn between(start: Cursor<'_>, end: Cursor<'_>) -> TokenStream {
    let mut tokens = TokenStream::new();
    let mut at = start;
    while at != end {
        let Some((token, next)) = at.token_tree() else { break };
        tokens.extend([token]);
        at = next;
    }
    tokens
}

/// A constant, a type, a macro's call: to its end, or to that of a part of it in braces. It is not
/// looked at.
fn take_item(input: ParseStream<'_>, tokens: &mut TokenStream) {
    while !input.is_empty() {
        let is_last = input.peek(Token![;]) || input.peek(syn::token::Brace);
        tokens.extend(input.parse::<TokenTree>().ok());
        if is_last {
            return;
        }
    }
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn type_name(ty: &Type) -> String {
    let last = match ty {
        Type::Group(group) => return type_name(&group.elem),
        Type::Paren(paren) => return type_name(&paren.elem),
        Type::Reference(reference) => return type_name(&reference.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    };
    let name = last.map(|last| last.ident.to_string());
    let name = name.unwrap_or_else(|| ty.to_token_stream().to_string().replace(' ', ""));
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn members(block: TokenStream) -> Vec<(bool, String)> {
        let block = Block::parse(block).expect("a block");
        let members = block.members.iter();
        members.map(|member| (member.method.is_some(), member.tokens.to_string())).collect()
    }

    #[test]
    fn members_are_told_apart_without_a_look_at_their_bodies() {
        let parts = [
            (
                false,
                quote!(
                    const SIZE: [u8; 2] = [1, 2];
                ),
            ),
            (true, quote!(#[inline] pub fn get(&self) -> Array<{ N + 1 }> { not rust at all })),
            (
                false,
                quote!(
                    type Output = u8;
                ),
            ),
            (
                true,
                quote!(
                    pub(crate) async unsafe fn f<T>()
                    where
                        T: Fn() -> u8,
                    {
                    }
                ),
            ),
            (false, quote!(call! { fn inside() {} })),
            (
                true,
                quote!(
                    const fn last() {}
                ),
            ),
        ];
        let all = parts.iter().map(|(_, part)| part.clone()).collect::<TokenStream>();
        let expected = parts.map(|(is_method, part)| (is_method, part.to_string()));
        assert_eq!(members(quote!(impl<const N: usize> Store<N> { #all })), expected);
    }

    #[test]
    fn a_block_is_put_together_as_it_was_but_for_notes() {
        let block = quote! {
            #[async_trait]
            unsafe impl<'a, T: Fn() -> u8> Trait<T> for &'a store::r#Store<T> where T: Copy {
                #![allow(unused)]
                const BRACED: S = S { a: 1 }.a;
                #[doc = "a"] #[avail(skip)] #[inline] fn f() {}
            }
        };
        let parsed = Block::parse(block.clone()).expect("a block");
        let expected = block.to_string().replace("# [avail (skip)] ", "");
        assert_eq!(parsed.plain().to_string(), expected);
        assert_eq!(parsed.type_name, "Store");
        assert!(Block::is_one(&block));
        assert!(!Block::is_one(&quote!(
            fn f() -> impl Fn() {}
        )));
    }

    #[test]
    fn the_name_of_a_type_leaves_its_generics_out() {
        let cases = [
            ("Store", "Store"),
            ("crate::a::Store<'a, T>", "Store"),
            ("&mut Store", "Store"),
            ("[u8]", "[u8]"),
            ("dyn Fetch", "dynFetch"),
        ];
        for (ty, name) in cases {
            assert_eq!(type_name(&syn::parse_str(ty).expect(ty)), name);
        }
    }
}
