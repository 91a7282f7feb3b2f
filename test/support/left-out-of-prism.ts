const LEAVES = 'the client leaves in the middle'
const SLOW = 'what counts is when the pieces of a body come: Prism passes on whole ones'
const BREAKS = 'the answer breaks off: there is none to judge'
const RAW = 'it speaks over a socket of its own, and of connections'
const SOON = 'what counts is how soon somebody asks again: the way through Prism is longer'
const SPAN = 'the span of whoever asks is of the process: no proxy passes it on'

/** Tests that cannot run through the Prism proxy, by the beginning of their names, with the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'of fifty cold readers one makes the call; it leaves': LEAVES,
  'when all of them leave, the call upstream is ended': LEAVES,
  'a client that leaves while its credentials are checked': LEAVES,
  'a browser that leaves while its code is exchanged': LEAVES,
  'a client that leaves in the middle': LEAVES,
  'a client that leaves frees the upstream': LEAVES,
  'a client that leaves before there is a body': LEAVES,
  'an upload that is cut leaves the document': LEAVES,
  'a page of another site changes nothing, and its body is not read': SLOW,
  'a host that is closing refuses no upload': SLOW,
  'a provider that takes nothing makes the client wait': SLOW,
  'a client that takes nothing makes the upstream wait': SLOW,
  'more than maxBytes is 413, as announced or as it comes': SLOW,
  'why a body was ended here is what counts': SLOW,
  'a client that falls silent': SLOW,
  'a body goes on as it comes': SLOW,
  'of two uploads to one document the one that ends last stays': SLOW,
  'of two uploads under a condition one is refused': SLOW,
  'a document that is removed while it is uploaded': SLOW,
  'where nobody knows whether the document points to it': SLOW,
  'who asks first gets a page plain, and later ones get it coded': SOON,
  'one user opens very many folders at once': SOON,
  'a load is a span below that of the request': SPAN,
  'the refresh of a token is a span below the call': SPAN,
  'the list is closed': 'a path with dots is another one to whoever makes an address of it',
  'without the option there are no such routes': 'what is not there is answered by the host',
  'an upstream of framing': BREAKS,
  'an upstream that is reset in the middle': BREAKS,
  'a connection that is removed meanwhile ends the body': BREAKS,
  'a refusal reaches a client that is still sending': RAW,
  'a client that goes on to send what was refused': RAW,
  'a client that sends its request for ever': RAW,
  'while the server drains, what is in flight ends': RAW,
  'a request that has begun is served although the server drains': RAW,
  'what does not end in time is cut': RAW,
  'an idle server drains at once': RAW
}

/** Returns why a test is left out, or `undefined`. */
export function leftOut(test: string): string | undefined {
  return Object.entries(LEFT_OUT).find(([beginning]) => test.includes(`> ${beginning}`))?.[1]
}
