/** The page's type of a document is that of the server. Compiled, never run. */
import { expectTypeOf } from 'expect-type'
import type * as server from '../../server/documents/store.ts'
import type * as page from '../../web/page/documents.ts'

expectTypeOf<page.DocumentView>().toEqualTypeOf<server.DocumentView>()
