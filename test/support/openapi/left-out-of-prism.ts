const LEAVES = 'the client disconnects in the middle'
const SLOW = 'the test depends on when the chunks of a body arrive, and Prism passes on whole bodies'
const BREAKS = 'the response is truncated, so there is none to check'
const RAW = 'the test uses its own socket and checks connections'
const SOON = 'the test depends on the time between requests, and Prism adds latency'
const SPAN = 'the parent span is in this process, and a proxy does not pass it on'

/** Tests that cannot run through the Prism proxy, by the beginning of their names, with the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'fifty cold reads share the call of the first client': LEAVES,
  'the call upstream is aborted when all clients have disconnected': LEAVES,
  'a client that disconnects while its credentials are checked': LEAVES,
  'a browser that disconnects while its code is exchanged': LEAVES,
  'a client that disconnects in the middle': LEAVES,
  'an upload aborted in the middle': LEAVES,
  'a client that disconnects closes the upstream': LEAVES,
  'a client that disconnects before the body begins': LEAVES,
  'an aborted upload changes neither the document nor the store': LEAVES,
  'a page of another site changes nothing, and its body is not read': SLOW,
  'a closing host completes uploads in flight': SLOW,
  'a provider that does not read makes the client wait': SLOW,
  'a client that does not read makes the upstream wait': SLOW,
  'an upload of more than maxBytes answers 413, declared or streamed': SLOW,
  'the reason for which a body was ended decides the response': SLOW,
  'an upload that stalls': SLOW,
  'a body is streamed, with or without a length': SLOW,
  'of two uploads to one document the one that ends last is stored': SLOW,
  'of two conditional uploads one is refused': SLOW,
  'a document that is removed during an upload': SLOW,
  'an object stays if it is unknown whether the document refers to it': SLOW,
  'the first response is uncompressed, and later responses are compressed': SOON,
  'a user who opens very many folders at once': SOON,
  'a load has a span below that of the request': SPAN,
  'a token refresh has a span below the call': SPAN,
  'only the listed files are served': 'URL parsers normalise a path with dots',
  'without the option transfers the routes do not exist': 'the host responds for missing routes',
  'a broken upstream with framing': BREAKS,
  'an upstream with framing': BREAKS,
  'an upstream that is reset in the middle': BREAKS,
  'removing a connection during a download ends the body': BREAKS,
  'a refusal reaches a client that is still sending': RAW,
  'a client that keeps sending a refused body': RAW,
  'a client that never completes its request': RAW,
  'while the server drains, requests in flight complete': RAW,
  'a request that has begun is served, although the server drains': RAW,
  'a request that does not end in time is aborted': RAW,
  'an idle server drains at once': RAW
}

/** Returns why a test is left out, or `undefined`. */
export function leftOut(test: string): string | undefined {
  return Object.entries(LEFT_OUT).find(([beginning]) => test.includes(`> ${beginning}`))?.[1]
}
