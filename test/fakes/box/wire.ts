import type { DateTime } from 'box-node-sdk/internal'

type Snake<S extends string> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Snake<Rest>}`
  : S

/** A type of the official client as its JSON is on the wire: names in snake case, and times as text. */
export type Wire<T> = T extends DateTime
  ? string
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? readonly Wire<Item>[]
      : { readonly [K in Exclude<keyof T & string, 'rawData'> as Snake<K>]?: Wire<T[K]> | null }
