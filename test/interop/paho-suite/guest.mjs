/** The suite's clients give no credentials: everybody is this one. */
export default { name: 'guest', setup: () => ({ authenticate: () => ({ kind: 'accepted', identity: { user: 'guest', admin: false, expiresMs: 0 } }) }) }
