import type { DateTime } from 'box-node-sdk/internal'

type Snake<S extends string> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Snake<Rest>}`
  : S

/** The JSON form of a type of the official client: names in snake case, and times as strings. */
export type Wire<T> = T extends DateTime
  ? string
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? readonly Wire<Item>[]
      : { readonly [K in Exclude<keyof T & string, 'rawData'> as Snake<K>]?: Wire<T[K]> | null }
