"""Make-believe providers that speak the documented protocols, count what they took, and misbehave on request.

An independent reading of the protocol sheets (docs/protocols): nothing here may import
`bulk_dispatch.providers`, so that one misreading cannot hide the other. Start it with
`bulk_dispatch.sandbox.server.serve`, or `running` in a test. The frame, one thing a file:

    server     the door
    options    everything one can set; routes: its accounts as routes of a worker
    app        HTTP: the providers' addresses and the control ones; counts: what one sees there
    exchange   one request and its answer; wire: hanging up; traffic: requests counted
    callers    who is at the other end, and kill -9 of it; kills: the answers that end so
    faults     the script: rules, counted; misdeeds: each fault by name; spoiling: answers made worse
    pushes     states told by the provider itself; calling: the connections for it
    account    the memory: messages, what was sent twice; journal: the same, surviving kill -9
    mix        what becomes of a message, and when; packing: the parts a text is charged as

and the providers, a package each: `provider` is what frame and package know of each other, `providers` the
list of them.
"""
