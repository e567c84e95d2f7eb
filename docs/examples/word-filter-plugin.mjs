// A plugin for Parley: masks or refuses unwanted words, and counts. docs/plugins.md explains it.
// Use it with
//   plugins:
//     - use: ./word-filter-plugin.mjs
//       config: { words: [ "darn", "heck" ], action: mask }

/** @param {typeof import('parley/plugin')} parley */
export default ({ definePlugin, ParleyError, Type }) => definePlugin({
  name: 'word-filter',

  // What an operator may set. The broker checks it at the start, fills in defaults and names every mistake.
  config: Type.Object({
    words: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
    action: Type.Union([Type.Literal('mask'), Type.Literal('refuse')], { default: 'mask' })
  }),

  setup (host, { words, action }) {
    const escaped = words.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    const unwanted = new RegExp(`(?<![\\p{L}\\p{N}])(${escaped.join('|')})(?![\\p{L}\\p{N}])`, 'giu')
    const counts = { stored: 0, masked: 0, refused: 0 }

    // One more operation: `rpc/filter.counts` over MQTT, `POST /v1/filter.counts` over HTTP.
    host.operation({
      name: 'filter.counts',
      summary: 'What the word filter has seen since the start of this node.',
      params: Type.Object({}),
      result: Type.Object({ stored: Type.Integer(), masked: Type.Integer(), refused: Type.Integer() }),
      read: true,
      who: 'admin',
      handle: async () => ({ ...counts })
    })

    return {
      // Before the message is stored. No `async`: what needs no waiting costs no waiting.
      willPublish (message) {
        const body = message.body()
        // Bytes (end-to-end encrypted, say) have no body to look into; of an app's own objects, this one knows nothing.
        if (typeof body !== 'string') return
        const masked = body.replace(unwanted, word => '*'.repeat([...word].length))
        if (masked === body) return
        if (action === 'refuse') {
          counts.refused++
          throw new ParleyError('bad-request', 'please mind your words')
        }
        counts.masked++
        message.replaceBody(masked)
      },

      // After it is stored. Nothing that happens here can change what the sender is told.
      didPublish ({ entry }) {
        if (entry.type !== 'system') counts.stored++
      }
    }
  }
})
