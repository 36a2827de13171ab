"""webcom.mobi, XML over HTTP: from docs/protocols/webcom.md. One thing a file:

options   where the sheet leaves a choice
texts     errors, English and Russian
reading   documents in, strictly; content: what one `<message>` may hold
rules     what refuses one recipient; parts charged
fates     what becomes of a message, channel by channel
account   the memory: messages, timetable, stop list, money
intake    judging a document to send
desk      what each command does; answers: documents out
receipts  states told by themselves
provider  all this as the frame wants it
"""
