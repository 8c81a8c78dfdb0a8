"""What a hostile client or upstream may try, each seen from the client's side of a real socket."""
