"""Make-believe providers that speak the documented protocols, count what they took, and misbehave on request.

An independent reading of the protocol sheets: nothing here may import `worker.providers`, so that one
misreading cannot hide the other (DESIGN section 3). Start it with `worker.sandbox.server.serve`, or
`running` in a test. One thing a file:

    server    the door: a socket, a web server, signals
    options   everything one can set
    app       HTTP: the provider's address and the control ones; wire: hanging up; traffic: requests counted
    callers   who is at the other end, and kill -9 of it; kills: the answers that end so
    reading   AlphaSMS documents in, strictly; answers: documents out; codes: the sheet's code tables
    alphasms  what each command does
    intake    judging a package, by rules (the sheet's) and mix (what becomes of a message, and when)
    account   the memory: messages, jobs, what was sent twice; journal: the same, surviving kill -9
    faults    the script: rules, counted; misdeeds: each fault by name
"""
